import { CursorGoneError, isTransientStoreError } from "../../domain/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Notice } from "../../ports/stores/call-store.ts";
import type { FeedPage, FeedQuery } from "../../ports/stores/read-store.ts";
import type { LiveState, WaitEnd } from "../../ports/use-cases/live-state.ts";
import type { FeedReads } from "./feed-reads.ts";

/** Number of events of one read. */
export const streamPage = 100;
/** Time after which a stream ends; its reader goes on by its id. */
const longestMs = 24 * 60 * 60 * 1000;
const keepAliveMs = 15_000;
/** Less than the 5 s within which a stream ends with its key: what the authentication remembers counts for 4 s. */
const checkKeyMs = 900;
/** Delay of the next read after one that found the store away. */
const storeRetryMs = 1000;
/** Bytes that wait for the reader before a page that it has to catch up with is read. */
const roomBytes = 64 * 1024;
/** Bytes of new events that may wait for the reader, and time for which it may take none of them. */
const maxNewBytes = 1024 * 1024;
const takeWithinMs = 5000;

export type EventStreamOptions = {
  readonly clock: Clock;
  readonly live: Pick<LiveState, "changed">;
  readonly accountId: string;
  /** Whether a notice may be about an event of the stream. */
  readonly matches: (notice: Notice) => boolean;
  readonly reads: Pick<FeedReads, "noteNews" | "read" | "readAlone" | "textOf">;
  /** Returns the query of the page behind a cursor, of `streamPage` events. */
  readonly queryOf: (cursor: string | null) => FeedQuery;
  /** Returns what the stream sends of a page; the events themselves if left out. */
  readonly textOf?: (page: FeedPage) => string;
  /** Time between two reads of new events, at least; none if left out. */
  readonly readEveryMs?: number;
  /** Whether the key that the stream was asked for with still opens its account. */
  readonly isAuthorized: () => Promise<boolean>;
  readonly signal: AbortSignal;
  /** Called once, when the stream ends. */
  readonly onEnd?: () => void;
};

/**
 * The feed as server-sent events (HTML Standard, section 9.2). It counts as one waiting request. Events that existed when the
 * reader had not reached the end of the feed yet are read as the reader takes them. Later ones are sent at once; a reader
 * that leaves too many of them waiting is cut off, because it can go on by its id.
 */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #ending = new AbortController();
  readonly #timers = new Set<Timer>();
  readonly #encoder = new TextEncoder();
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #cursor = "";
  #hasNews = false;
  #isKeepAliveDue = true;
  /** Ends the wait of the loop for news, and that for the reader. */
  #wake: () => void = () => undefined;
  #taken: () => void = () => undefined;
  /** Ends the wait for the time of the next read, before which no news does. */
  #hurry: () => void = () => undefined;
  #nextReadAtMs = 0;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Begins the stream behind a cursor. Resolves with the body, or with why the account may not wait. Rejects as `readFeed` does. */
  async start(cursor: string | null): Promise<ReadableStream<Uint8Array> | "too_many"> {
    const { live, accountId, matches, signal, reads, queryOf } = this.#options;
    let slotEnd: WaitEnd | null = null;
    const notice = (each: Notice) => {
      if (matches(each)) {
        reads.noteNews();
        this.#news();
      }
      // The one wait of the stream goes on.
      return false;
    };
    // The subscription comes before the read, so that the stream misses no event between the two.
    const slot = live.changed({ accountId, watchId: null, matches: notice }, longestMs, AbortSignal.any([signal, this.#ending.signal]));
    void slot.then((end) => {
      slotEnd = end;
      this.#end();
    });
    let page: FeedPage;
    try {
      page = await reads.readAlone(queryOf(cursor));
    } catch (error) {
      this.#end();
      throw error;
    }
    if (slotEnd === "too_many") return "too_many";
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          if (this.#ending.signal.aborted) return controller.close();
          this.#every(keepAliveMs, () => this.#askForKeepAlive());
          this.#every(checkKeyMs, () => void this.#checkKey());
          void this.#run(page);
        },
        pull: () => this.#taken(),
        cancel: () => this.#end(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: roomBytes }),
    );
  }

  async #run(first: FeedPage): Promise<void> {
    let isCaughtUp = false;
    try {
      for (let page = first; !this.#isOver;) {
        this.#sendPage(page);
        // A page that is short because it passed hidden events is rare. The next read goes on behind them.
        const hasMore = page.data.length === streamPage;
        if (!hasMore) this.#keepAlive();
        isCaughtUp ||= !hasMore;
        if (!(await (isCaughtUp ? this.#leavesRoomForNews() : this.#takes()))) break;
        if (!hasMore) {
          await this.#untilNews();
          await this.#untilNextRead();
          if (this.#isOver) break;
        }
        page = await this.#readOn();
      }
    } catch (error) {
      if (!(error instanceof CursorGoneError)) this.#controller?.error(error);
    }
    this.#end();
  }

  async #readOn(): Promise<FeedPage> {
    for (;;) {
      try {
        this.#hasNews = false;
        return await this.#options.reads.read(this.#options.queryOf(this.#cursor));
      } catch (error) {
        if (!isTransientStoreError(error) || this.#isOver) throw error;
        await this.#wait(storeRetryMs);
      }
    }
  }

  #sendPage(page: FeedPage): void {
    const { reads, textOf } = this.#options;
    const texts =
      textOf === undefined
        ? page.data.map((view, index) => reads.textOf(view, page.cursors[index] ?? page.nextCursor))
        : [this.#encoder.encode(textOf(page))];
    for (const text of texts) if (text.length > 0) this.#send(text);
    this.#cursor = page.nextCursor;
  }

  /** Lets the loop read on, so that the cursor is the newest one. */
  #askForKeepAlive(): void {
    this.#isKeepAliveDue = true;
    this.#news();
  }

  /** Sends a comment and the newest cursor if it is time for them, and at the beginning. */
  #keepAlive(): void {
    if (!this.#isKeepAliveDue) return;
    this.#isKeepAliveDue = false;
    this.#send(this.#encoder.encode(`: open\nid: ${this.#cursor}\n\n`));
  }

  #send(text: Uint8Array): void {
    if (!this.#isOver) this.#controller?.enqueue(text);
  }

  get #isOver(): boolean {
    return this.#ending.signal.aborted;
  }

  get #waitingBytes(): number {
    return roomBytes - (this.#controller?.desiredSize ?? roomBytes);
  }

  /** Waits until the reader has taken what waits, but for some. Resolves with false if the stream ended. */
  async #takes(): Promise<boolean> {
    while (!this.#isOver && this.#waitingBytes >= roomBytes) await this.#untilTaken(null);
    return !this.#isOver;
  }

  /** Resolves with false if too many new events wait for a reader that takes none of them, or the stream ended. */
  async #leavesRoomForNews(): Promise<boolean> {
    for (;;) {
      const waiting = this.#waitingBytes;
      if (this.#isOver || waiting < maxNewBytes) return !this.#isOver;
      await this.#untilTaken(takeWithinMs);
      if (this.#waitingBytes >= waiting) return false;
    }
  }

  #news(): void {
    this.#hasNews = true;
    this.#wake();
  }

  async #untilNews(): Promise<void> {
    if (this.#hasNews || this.#isOver) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async #untilNextRead(): Promise<void> {
    const { clock, readEveryMs = 0 } = this.#options;
    const waitMs = this.#nextReadAtMs - clock.monotonicMs();
    if (waitMs > 0 && !this.#isOver) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#hurry = resolve;
      const timer = clock.setTimer(waitMs, resolve);
      await promise;
      timer.cancel();
    }
    this.#nextReadAtMs = clock.monotonicMs() + readEveryMs;
  }

  async #untilTaken(timeoutMs: number | null): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#taken = resolve;
    const timer = timeoutMs === null ? null : this.#options.clock.setTimer(timeoutMs, resolve);
    await promise;
    timer?.cancel();
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = this.#options.clock.setTimer(ms, resolve);
    await promise;
    timer.cancel();
  }

  async #checkKey(): Promise<void> {
    try {
      if (!(await this.#options.isAuthorized())) this.#end();
    } catch {
      // The store is away. The next check decides.
    }
  }

  #every(ms: number, run: () => void): void {
    if (this.#isOver) return;
    const timer = this.#options.clock.setTimer(ms, () => {
      this.#timers.delete(timer);
      run();
      this.#every(ms, run);
    });
    this.#timers.add(timer);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#ending.abort();
    this.#options.onEnd?.();
    for (const timer of this.#timers) timer.cancel();
    this.#wake();
    this.#taken();
    this.#hurry();
    try {
      // A stream that is closed ends only once its reader has taken everything.
      if (this.#waitingBytes > 0) this.#controller?.error(new Error("the reader did not take the events"));
      else this.#controller?.close();
    } catch {
      // The reader canceled it, or it failed.
    }
  }
}

import type { EventView, FeedPage, FeedQuery, ReadStore } from "../../ports/stores/read-store.ts";
import { eventJson } from "../schemas/json.ts";

type Running = { readonly news: number; readonly page: Promise<FeedPage> };

/**
 * Reads of the feed for requests that wait. An event may wake a thousand readers of one account, most of them with the same
 * cursor and filter: they share one read and its text.
 *
 * A reader may share a read that began after the last notice that any waiting reader matched. Both of them must wait while
 * they read: the notices of events that the read does not show are among those that either matches. The first read of a
 * request is never shared.
 */
export class FeedReads {
  readonly #store: Pick<ReadStore, "readFeed">;
  /** Number of notices that waiting readers matched. */
  #news = 0;
  readonly #running = new Map<string, Running>();
  readonly #texts = new WeakMap<EventView, Uint8Array>();
  readonly #bodies = new WeakMap<FeedPage, string>();
  readonly #encoder = new TextEncoder();

  constructor(store: Pick<ReadStore, "readFeed">) {
    this.#store = store;
  }

  /** Notes that a waiting reader matched a notice: what it reads from then on has begun later. */
  noteNews(): void {
    this.#news += 1;
  }

  /** Reads for one request alone. */
  readAlone(query: FeedQuery): Promise<FeedPage> {
    return this.#store.readFeed(query);
  }

  /** Reads for a request that waits, perhaps together with others. Rejects as `readFeed` does. */
  read(query: FeedQuery): Promise<FeedPage> {
    const { accountId, limit, cursor, sinceMs, types, orTerminal, callSid } = query;
    const key = JSON.stringify([accountId, limit, cursor, sinceMs, types, orTerminal, callSid]);
    const news = this.#news;
    const running = this.#running.get(key);
    if (running?.news === news) return running.page;
    const page = this.#store.readFeed(query).finally(() => {
      if (this.#running.get(key)?.page === page) this.#running.delete(key);
    });
    this.#running.set(key, { news, page });
    return page;
  }

  /** Returns one event of a page in the format of the stream. JSON has no line ends. */
  textOf(view: EventView, cursor: string): Uint8Array {
    let text = this.#texts.get(view);
    if (text === undefined) {
      text = this.#encoder.encode(`id: ${cursor}\nevent: ${view.event.type}\ndata: ${JSON.stringify(eventJson(view))}\n\n`);
      this.#texts.set(view, text);
    }
    return text;
  }

  /** Returns a page as the body of an answer. */
  bodyOf(page: FeedPage): string {
    let body = this.#bodies.get(page);
    if (body === undefined) {
      body = JSON.stringify({ data: page.data.map(eventJson), next_cursor: page.nextCursor });
      this.#bodies.set(page, body);
    }
    return body;
  }
}

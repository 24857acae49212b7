import type { CallStore, WatchedCall } from "../../ports/stores/call-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { PolledCall } from "./polled-call.ts";
import type { CallRegistry } from "./call-registry.ts";
import type { PolledSource } from "../sources/polled-source.ts";

export type CallAssignmentOptions = {
  readonly store: Pick<CallStore, "loadWatchedCalls" | "releaseCalls">;
  readonly calls: CallRegistry;
  readonly sourceOf: (call: WatchedCall) => PolledSource<PolledCall>;
  readonly logger: Logger;
  readonly random: () => number;
  /** Polls it as soon as the source lets it. */
  readonly pollNow: (call: PolledCall) => void;
  readonly schedule: (call: PolledCall, delayMs: number) => void;
  /** It waits for nothing any more. */
  readonly unschedule: (call: PolledCall) => void;
};

const pageSize = 1000;

/** Which calls are polled here: those of the start, those registered since, and those that change hands between instances. */
export class CallAssignment {
  readonly #options: CallAssignmentOptions;
  /** On their way to another instance, and whether somebody registered them here meanwhile. */
  readonly #leaving = new Map<PolledCall, { isWanted: boolean }>();

  constructor(options: CallAssignmentOptions) {
    this.#options = options;
  }

  /** Takes up the calls of the store that are this process's to poll. */
  async adoptAll(): Promise<void> {
    const added: PolledCall[] = [];
    for await (const page of this.#pages()) added.push(...this.#addMissing(page));
    // Only now is the load known, and with it the interval to spread them over.
    for (const call of added) this.#spread(call);
  }

  /** The same for what was missed: an answer of the store that got lost left calls behind that nobody polls. */
  async adoptMissing(): Promise<number> {
    let taken = 0;
    for await (const page of this.#pages()) taken += this.adopt(page);
    return taken;
  }

  /** Calls that are this instance's from now on; each is polled within its interval, what was never seen at once. */
  adopt(calls: readonly WatchedCall[]): number {
    const added = this.#addMissing(calls);
    for (const call of added)
      if (call.needsFirstEvent || (call.status === null && call.lastGoodPollAtMs === null)) this.#options.pollNow(call);
      else this.#spread(call);
    return added.length;
  }

  /** After a registration's commit: a call not polled so far is polled at once. Returns it when it was known before. */
  watch(call: WatchedCall): PolledCall | null {
    const { calls, pollNow } = this.#options;
    const known = calls.get(call.callId);
    if (known === undefined) {
      pollNow(this.#add(call));
      return null;
    }
    known.mergeNewer(call);
    const leaving = this.#leaving.get(known);
    if (leaving !== undefined) leaving.isWanted = true;
    return known;
  }

  /** What is left to watch of a call; null: nothing. */
  rewatch(callId: string, call: WatchedCall | null): void {
    const known = this.#options.calls.get(callId);
    if (known === undefined) return;
    if (call === null) this.#forget(known);
    else known.mergeNewer(call);
  }

  /**
   * Gives `count` calls of the source to whoever takes them, calm ones first, none that a poll or a commit is under way
   * for. What the store did not take back stays. Resolves with the ids of those that were registered here meanwhile:
   * whether they are ours again only the store knows.
   */
  async releaseCalls(sourceName: string, count: number): Promise<readonly string[]> {
    const { store, calls, schedule, random } = this.#options;
    const given = this.#pick(sourceName, count);
    for (const call of given) {
      this.#leaving.set(call, { isWanted: false });
      call.isBusy = true;
      this.#options.unschedule(call);
    }
    const wanted: string[] = [];
    for (let index = 0; index < given.length; index += pageSize) {
      const page = given.slice(index, index + pageSize);
      const isReleased = await store.releaseCalls(page.map(releaseOf)).then(
        () => true,
        () => false,
      );
      for (const call of page) {
        if (this.#leaving.get(call)?.isWanted === true) wanted.push(call.callId);
        this.#leaving.delete(call);
        call.isBusy = false;
        if (isReleased) calls.remove(call);
        else schedule(call, random() * call.intervalMs);
      }
    }
    return wanted;
  }

  /**
   * Gives them back at a stop: those that no poll or commit is under way for, or all. Never rejects: who takes them up
   * next knows their last good poll from their last transition.
   */
  async release(which: "idle" | "all"): Promise<void> {
    const { store, calls, logger } = this.#options;
    const leaving = [...calls.all()].filter((call) => which === "all" || !call.isBusy);
    try {
      for (let index = 0; index < leaving.length; index += pageSize) {
        const page = leaving.slice(index, index + pageSize);
        await store.releaseCalls(page.map(releaseOf));
        for (const call of page) this.#forget(call);
      }
    } catch (error) {
      logger.warn({ error: String(error) }, "poll.release_failed");
    }
  }

  /** None of them is ours any more. */
  drop(): void {
    for (const call of this.#options.calls.all()) this.#forget(call);
  }

  async *#pages(): AsyncGenerator<readonly WatchedCall[]> {
    for (let afterCallId: string | null = null; ;) {
      const page: readonly WatchedCall[] = await this.#options.store.loadWatchedCalls({ afterCallId, limit: pageSize });
      yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) return;
      afterCallId = last.callId;
    }
  }

  #addMissing(calls: readonly WatchedCall[]): readonly PolledCall[] {
    return calls.filter(({ callId }) => this.#options.calls.get(callId) === undefined).map((call) => this.#add(call));
  }

  #add(call: WatchedCall): PolledCall {
    return this.#options.calls.add(this.#options.sourceOf(call), call);
  }

  #spread(call: PolledCall): void {
    call.isFirstPoll = false;
    this.#options.schedule(call, this.#options.random() * call.intervalMs);
  }

  #forget(call: PolledCall): void {
    this.#options.unschedule(call);
    this.#options.calls.remove(call);
  }

  /** What is remembered of a call's denials is lost with it, so those go last. */
  #pick(sourceName: string, count: number): readonly PolledCall[] {
    const calm: PolledCall[] = [];
    const others: PolledCall[] = [];
    for (const call of this.#options.calls.all()) {
      if (calm.length >= count) break;
      if (call.source.name !== sourceName || call.isBusy) continue;
      if (call.memory.rejection === null && !call.isFirstPoll && !call.needsFirstEvent) calm.push(call);
      else others.push(call);
    }
    return [...calm, ...others].slice(0, count);
  }
}

function releaseOf({ callId, lastGoodPollAtMs }: PolledCall) {
  return { callId, lastGoodPollAtMs };
}

import type { CallStore, WatchedCall } from "../../ports/stores/call-store.ts";
import type { InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { PolledCall } from "./polled-call.ts";
import type { CallRegistry } from "./call-registry.ts";
import type { PolledSource } from "../sources/polled-source.ts";

export type CallAssignmentOptions = {
  readonly store: Pick<CallStore, "loadWatchedCalls" | "parkCalls" | "releaseCalls">;
  readonly calls: CallRegistry;
  readonly sourceOf: (call: WatchedCall) => PolledSource<PolledCall>;
  readonly logger: Logger;
  readonly random: () => number;
  /** Polls the call as soon as its source allows. */
  readonly pollNow: (call: PolledCall) => void;
  readonly schedule: (call: PolledCall, delayMs: number) => void;
  /** Removes the call from the timing wheel and from its source's queue. */
  readonly unschedule: (call: PolledCall) => void;
};

/** The store's side of a comparison. */
export type OwnedCalls = Pick<InstanceStore, "listOwnedCallIds" | "loadOwnedCalls">;

const pageSize = 1000;
/** Longest time until a call is polled whose account was enabled. */
const resumeWithinMs = 3000;
/** Ids of a page are short, and read from an index alone. */
const comparedPageSize = 5000;

/** Assignment of calls to this instance: at its start, by registrations, and by moves between instances. */
export class CallAssignment {
  readonly #options: CallAssignmentOptions;
  /** Calls that this instance is about to lose; `isWanted` if they were registered or adopted here meanwhile. */
  readonly #leaving = new Map<PolledCall, { isWanted: boolean }>();
  /** Calls whose last release failed. The store may have released them all the same. */
  #unreleased: readonly PolledCall[] = [];

  constructor(options: CallAssignmentOptions) {
    this.#options = options;
  }

  /** Loads all calls that the store assigns to this process. */
  async adoptAll(): Promise<void> {
    const added: PolledCall[] = [];
    for await (const page of this.#pages()) added.push(...this.#addMissing(page));
    // The calls are spread after all of them were added, because the interval follows from the whole load.
    for (const call of added) this.#spread(call);
  }

  /**
   * Compares the calls in memory with those that the store assigns to this instance. Adopts assigned ones that are not in memory,
   * and drops the others that are. Either is left behind by a lost answer. Resolves with the numbers of both.
   */
  async compare(owned: OwnedCalls): Promise<{ readonly adopted: number; readonly dropped: number }> {
    const { calls } = this.#options;
    const unseen = new Set(calls.all());
    const missing: string[] = [];
    for (let afterCallId: string | null = null; ;) {
      const ids: readonly string[] = await owned.listOwnedCallIds({ afterCallId, limit: comparedPageSize });
      for (const callId of ids) {
        const known = calls.get(callId);
        if (known === undefined) missing.push(callId);
        else unseen.delete(known);
      }
      afterCallId = ids.at(-1) ?? null;
      if (ids.length < comparedPageSize) break;
    }
    // Calls that move at this moment are not compared: those under way follow with the next comparison.
    const unowned = [...unseen].filter((call) => !call.isBusy && !call.isDropped);
    return { adopted: await this.#adoptOwned(missing, owned), dropped: await this.#dropUnowned(unowned, owned) };
  }

  async #adoptOwned(callIds: readonly string[], owned: OwnedCalls): Promise<number> {
    let adopted = 0;
    for (let index = 0; index < callIds.length; index += pageSize)
      adopted += this.adopt(await owned.loadOwnedCalls(callIds.slice(index, index + pageSize)));
    return adopted;
  }

  /** Drops those of the calls that the store, asked once more, does not assign to this instance. */
  async #dropUnowned(suspects: readonly PolledCall[], owned: OwnedCalls): Promise<number> {
    let dropped = 0;
    for (let index = 0; index < suspects.length; index += pageSize) {
      const page = suspects.slice(index, index + pageSize).filter((call) => !call.isDropped && !this.#leaving.has(call));
      for (const call of page) this.#leaving.set(call, { isWanted: false });
      try {
        const stillOwned = new Set((await owned.loadOwnedCalls(page.map(({ callId }) => callId))).map(({ callId }) => callId));
        for (const call of page) {
          if (stillOwned.has(call.callId) || call.isDropped || this.#leaving.get(call)?.isWanted === true) continue;
          this.#forget(call);
          dropped += 1;
        }
      } finally {
        for (const call of page) this.#leaving.delete(call);
      }
    }
    return dropped;
  }

  /**
   * Adopts calls that were assigned to this instance, and returns the number of new ones. Each is polled within its
   * interval; calls without a known status, or with an initial event pending, are polled immediately.
   */
  adopt(calls: readonly WatchedCall[]): number {
    const added = this.#addMissing(calls);
    for (const call of added)
      if (call.needsFirstEvent || (call.status === null && call.lastGoodPollAtMs === null)) this.#options.pollNow(call);
      else this.#spread(call);
    return added.length;
  }

  /** After a registration's commit: polls a new call immediately. Returns the call if it was in memory before, else `null`. */
  watch(call: WatchedCall): PolledCall | null {
    const { calls, pollNow } = this.#options;
    const known = calls.get(call.callId);
    if (known === undefined) {
      pollNow(this.#add(call));
      return null;
    }
    known.mergeNewer(call);
    this.#keep(known);
    return known;
  }

  /** Applies the state of a call after a watch was removed; `null` if no watch is left. */
  rewatch(callId: string, call: WatchedCall | null): void {
    const known = this.#options.calls.get(callId);
    if (known === undefined) return;
    if (call === null) this.#forget(known);
    else known.mergeNewer(call);
  }

  /**
   * Reads calls again whose account was disabled: those that another account watches stay, as the other's, and the rest leaves
   * the process. Calls stay as they are if the store does not answer. Never rejects.
   */
  async park(given: readonly PolledCall[]): Promise<void> {
    const { store, calls, schedule, random } = this.#options;
    const parking = given.filter((call) => !call.isBusy && !call.isDropped && !this.#leaving.has(call));
    for (const call of parking) this.#hold(call);
    for (let index = 0; index < parking.length; index += pageSize) {
      const page = parking.slice(index, index + pageSize);
      const read = await store.parkCalls(page.map(toRelease)).catch(() => null);
      const polled = new Map(read?.map((call) => [call.callId, call]));
      for (const call of page) {
        const current = polled.get(call.callId);
        const isWanted = this.#leaving.get(call)?.isWanted === true;
        this.#leaving.delete(call);
        call.isBusy = false;
        if (current !== undefined) call.mergeNewer(current);
        if (read === null || current !== undefined || isWanted) schedule(call, random() * call.intervalMs);
        else calls.remove(call);
      }
    }
  }

  /** Takes calls of an account that was enabled, which are polled within a few seconds. */
  resume(resumed: readonly WatchedCall[]): void {
    const { calls, schedule, random } = this.#options;
    for (const watched of resumed) {
      const known = calls.get(watched.callId);
      if (known !== undefined) {
        known.mergeNewer(watched);
        this.#keep(known);
        if (known.isBusy || known.isQueued) continue;
      }
      const call = known ?? this.#add(watched);
      call.isFirstPoll = false;
      schedule(call, random() * Math.min(call.intervalMs, resumeWithinMs));
    }
  }

  /**
   * Releases `count` idle calls of the source to other instances, steady ones first. Calls stay here if the store does not
   * accept their release. Returns the ids of those that were registered or adopted here meanwhile: the store may have
   * assigned them to this instance again.
   */
  releaseCalls(sourceName: string, count: number): Promise<readonly string[]> {
    return this.#release(this.#pick(sourceName, count));
  }

  /**
   * Repeats the releases that failed, because a call that the store released is polled by another instance as well. Returns
   * ids as `releaseCalls` does.
   */
  releaseAgain(): Promise<readonly string[]> {
    const unreleased = this.#unreleased.filter((call) => !call.isDropped);
    // A call with a poll or commit under way follows after the next heartbeat.
    this.#unreleased = unreleased.filter((call) => call.isBusy);
    return this.#release(unreleased.filter((call) => !call.isBusy));
  }

  async #release(releasing: readonly PolledCall[]): Promise<readonly string[]> {
    const { store, calls, schedule, random } = this.#options;
    for (const call of releasing) this.#hold(call);
    const wanted: string[] = [];
    for (let index = 0; index < releasing.length; index += pageSize) {
      const page = releasing.slice(index, index + pageSize);
      const isReleased = await store.releaseCalls(page.map(toRelease), "balance").then(
        () => true,
        () => false,
      );
      if (!isReleased) this.#unreleased = [...this.#unreleased, ...page];
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

  /** Takes a call out of the schedule while the store decides whether it stays here. */
  #hold(call: PolledCall): void {
    this.#leaving.set(call, { isWanted: false });
    call.isBusy = true;
    this.#options.unschedule(call);
  }

  /** Notes that a call whose release is under way was assigned to this instance again. */
  #keep(call: PolledCall): void {
    const leaving = this.#leaving.get(call);
    if (leaving !== undefined) leaving.isWanted = true;
  }

  /**
   * Releases calls at a stop: those without a poll or commit under way, or all. Never rejects, because the next owner can
   * derive the last good poll from the last transition. Resolves with false if the store did not accept the release.
   */
  async release(which: "idle" | "all"): Promise<boolean> {
    const { store, calls, logger } = this.#options;
    const leaving = [...calls.all()].filter((call) => which === "all" || !call.isBusy);
    try {
      for (let index = 0; index < leaving.length; index += pageSize) {
        const page = leaving.slice(index, index + pageSize);
        await store.releaseCalls(page.map(toRelease), "stop");
        for (const call of page) this.#forget(call);
      }
      return true;
    } catch (error) {
      logger.warn({ error: String(error) }, "poll.release_failed");
      return false;
    }
  }

  /** Discards all calls after the instance lost them. */
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
    return calls.flatMap((call) => {
      const known = this.#options.calls.get(call.callId);
      if (known === undefined) return [this.#add(call)];
      this.#keep(known);
      return [];
    });
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

  /** Picks steady calls first, because a release loses the streak of rejections of a call. */
  #pick(sourceName: string, count: number): readonly PolledCall[] {
    const steady: PolledCall[] = [];
    const others: PolledCall[] = [];
    for (const call of this.#options.calls.all()) {
      if (steady.length >= count) break;
      if (call.source.name !== sourceName || call.isBusy) continue;
      if (call.memory.rejection === null && !call.isFirstPoll && !call.needsFirstEvent) steady.push(call);
      else others.push(call);
    }
    return [...steady, ...others].slice(0, count);
  }
}

function toRelease({ callId, lastGoodPollAtMs }: PolledCall) {
  return { callId, lastGoodPollAtMs };
}

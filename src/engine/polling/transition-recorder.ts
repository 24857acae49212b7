import { decideAfterPoll } from "../../domain/calls/poll-decision.ts";
import type { PollDecision } from "../../domain/calls/poll-decision.ts";
import type { CallChange, Observation } from "../../domain/calls/call.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import type { CallCommit, CallCommitResult, CallStore } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { PolledCall } from "./polled-call.ts";
import type { CallRegistry } from "./call-registry.ts";
import type { PolledSource } from "../sources/polled-source.ts";
import type { SourceChange } from "../sources/source-suspension.ts";
import { sleep } from "../runtime/timed-waits.ts";

export type TransitionRecorderOptions = {
  readonly store: CallStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Listeners of committed transitions. */
  readonly listeners: readonly CommitListener[];
  /**
   * Whether the store may become unavailable and recover while the process lives (Postgres). Then a commit is repeated
   * until it succeeds, and the call is not polled before. With SQLite a broken store ends the process.
   */
  readonly outlivesStore?: boolean;
};

type RecorderOptions = TransitionRecorderOptions & {
  readonly calls: CallRegistry;
  readonly random: () => number;
  readonly onGateChange: (source: PolledSource<PolledCall>, change: SourceChange) => void;
};

type Outcome = Omit<CallCommit, "callId" | "accountId" | "expectedVersion">;

/** No poll starts beyond this number of commits in flight; polls in flight may still add theirs. */
const maxCommitsInFlight = 1000;
const commitRetryMinMs = 100;
const commitRetryMaxMs = 2000;

/**
 * Decides what an observation means for a call, and commits the transition. Memory changes, and listeners are called,
 * only after the commit. Commits in flight are bounded, so that polls wait for a slow store.
 */
export class TransitionRecorder {
  readonly #options: RecorderOptions;
  #commitsInFlight = 0;
  readonly #stopping = new AbortController();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Gives up commits that have not succeeded; the next owner of the call observes the transition again. */
  stop(): void {
    this.#stopping.abort();
  }

  get hasCapacity(): boolean {
    return this.#commitsInFlight < maxCommitsInFlight;
  }

  /** Decides on an observation and commits what it changes. Resolves with the time until the next poll, in milliseconds. */
  async record(call: PolledCall, observation: Observation): Promise<number> {
    if (call.isDropped) return 0;
    this.#options.calls.followWallClock();
    const nowMs = this.#options.clock.nowMs();
    const decision = this.#decide(call, observation, nowMs);
    const { lastGoodPollAtMs, confirmed } = decision;
    const endIsWithheld = decision.endsUncorroborated && call.source.gate.isMisconfigured;
    const changes = endIsWithheld ? decision.changes.filter((change) => change.kind !== "end") : decision.changes;
    const { status, observedAtMs, lastGoodPollAtMs: seenAtMs } = call;
    const evenMs = call.intervalMs;
    if (changes.length > 0 || (confirmed && call.needsFirstEvent)) {
      const isCommitted = await this.#commit(call, { nowMs, lastGoodPollAtMs, confirmed, changes });
      // Nothing was written, so memory stays as it is and the next poll observes the same.
      if (!isCommitted) return call.intervalMs * (1 + this.#options.random());
    }
    call.memory = decision.memory;
    call.lastGoodPollAtMs = lastGoodPollAtMs;
    const { freshness } = call.source;
    if (confirmed && freshness !== null && status !== null && observedAtMs !== null && seenAtMs !== null) {
      if (call.status === status && !call.isDropped) freshness.recordUnchanged(status, seenAtMs - observedAtMs, nowMs - observedAtMs);
      else if (hasNewStatus(changes)) freshness.recordChange(status, seenAtMs - observedAtMs, nowMs - observedAtMs, evenMs);
    }
    return call.isDropped ? 0 : this.#delayAfter(call, decision);
  }

  /** Writes the rest of an unfinished commit, which another process or an earlier attempt began. Never rejects. */
  async finish(call: PolledCall): Promise<void> {
    await this.#whileCounted(call, () => this.#writeRest(call));
  }

  /** Ends the watches whose deadline has passed, without another poll. Never rejects. */
  async expire(call: PolledCall, nowMs: number): Promise<void> {
    await this.#commit(call, { nowMs, lastGoodPollAtMs: call.lastGoodPollAtMs, confirmed: false, changes: [{ kind: "expire" }] });
  }

  /** Ends the watches of a call whose source was removed. Never rejects. */
  async endLost(call: PolledCall, nowMs: number): Promise<void> {
    const changes = [{ kind: "end", endReason: "lost", spares: null }] as const;
    await this.#commit(call, { nowMs, lastGoodPollAtMs: call.lastGoodPollAtMs, confirmed: false, changes });
  }

  #decide(call: PolledCall, observation: Observation, nowMs: number): PollDecision {
    const { gate, setup, name } = call.source;
    const { callStatus: status, memory, oldestWatchAtMs, youngestWatchAtMs, earliestDeadlineAtMs } = call;
    const context = { nowMs, corroboratedAtMs: gate.lastGoodPollAtMs, jitter: this.#options.random() };
    const input = { status, memory, oldestWatchAtMs, youngestWatchAtMs, earliestDeadlineAtMs };
    const decision = decideAfterPoll(input, observation, context, setup.policy);
    if (decision.endsUncorroborated) this.#options.onGateChange(call.source, gate.recordUncorroboratedFailure(call));
    else gate.clearUncorroborated(call);
    if (decision.isRegression)
      this.#options.logger.warn({ source: name, call_id: call.callId, from: call.status }, "call.status_went_backwards");
    return decision;
  }

  /** Returns false if the store refused or is unavailable; then nothing has changed. */
  async #commit(call: PolledCall, outcome: Outcome): Promise<boolean> {
    const { store } = this.#options;
    return this.#whileCounted(call, async () => {
      const commit = { callId: call.callId, accountId: call.accountId, expectedVersion: call.version, ...outcome };
      this.#apply(call, await this.#withRetries(call, () => store.commitCall(commit)));
      await this.#writeRest(call);
    });
  }

  /** Writes the portions of an unfinished commit one after the other; the webhooks of each leave once it is committed. */
  async #writeRest(call: PolledCall): Promise<void> {
    const { store, clock } = this.#options;
    while (call.isUnfinished && !call.isDropped && !this.#stopping.signal.aborted) {
      const { callId, accountId, version: expectedVersion } = call;
      const portion = () => store.commitPortion({ callId, accountId, expectedVersion, nowMs: clock.nowMs() });
      this.#apply(call, await this.#withRetries(call, portion));
    }
  }

  #apply(call: PolledCall, result: CallCommitResult): void {
    const { listeners, calls } = this.#options;
    if (result.call === null) calls.remove(call);
    else call.merge(result.call);
    if (result.kind === "stale") return;
    for (const listener of listeners) listener.committed(result);
  }

  /** Returns false if the store refused or is unavailable. */
  async #whileCounted(call: PolledCall, work: () => Promise<void>): Promise<boolean> {
    const { logger } = this.#options;
    this.#commitsInFlight += 1;
    try {
      await work();
      return true;
    } catch (error) {
      logger.warn({ source: call.source.name, call_id: call.callId, error: String(error) }, "poll.commit_failed");
      return false;
    } finally {
      this.#commitsInFlight -= 1;
    }
  }

  async #withRetries(call: PolledCall, write: () => Promise<CallCommitResult>): Promise<CallCommitResult> {
    const { clock, outlivesStore = false } = this.#options;
    for (let retryMs = commitRetryMinMs; ; retryMs = Math.min(retryMs * 2, commitRetryMaxMs)) {
      try {
        return await write();
      } catch (error) {
        if (!outlivesStore || !isTransientStoreError(error) || call.isDropped || this.#stopping.signal.aborted) throw error;
        await sleep(clock, retryMs, this.#stopping.signal);
      }
    }
  }

  #delayAfter(call: PolledCall, { next }: PollDecision): number {
    const { calls, clock, random } = this.#options;
    calls.updateAge(call);
    const { gate, setup, freshness } = call.source;
    if (next.kind !== "delay") {
      // The jitter spreads calls that were registered together. The mean delay of the even schedule is the interval.
      const jitter = 0.9 + 0.2 * random();
      if (freshness === null) return call.intervalMs * jitter;
      return freshness.plan(gate.rate, call, clock.nowMs(), clock.monotonicMs() - call.dueAtMonotonicMs, jitter);
    }
    // A failing call must not be polled more often than the stretched interval of the account's others.
    const intervalMs = gate.rate.intervalMs(call.accountId);
    const delayMs = intervalMs > setup.intervalMinMs ? Math.max(next.delayMs, intervalMs) : next.delayMs;
    freshness?.planAfter(gate.rate, call, delayMs);
    return delayMs;
  }
}

function hasNewStatus(changes: readonly CallChange[]): boolean {
  return changes.some(({ kind }) => kind === "status");
}

import { decideAfterPoll } from "../../domain/calls/poll-decision.ts";
import type { PollDecision } from "../../domain/calls/poll-decision.ts";
import type { Observation } from "../../domain/calls/call.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import type { CallCommit, CallCommitResult, CallStore } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import type { PolledCall } from "./polled-call.ts";
import type { CallRegistry } from "./call-registry.ts";
import type { PolledSource } from "../sources/polled-source.ts";
import type { SourceChange } from "../sources/source-suspension.ts";
import { sleep } from "../runtime/timed-waits.ts";

export type TransitionRecorderOptions = {
  readonly store: CallStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Receive every transition that was committed. */
  readonly listeners: readonly CommitListener[];
  /**
   * The store may go away and come back while the process lives: what was observed is kept until it is written, and the
   * call is polled again only then. Without it the process does not outlive its store.
   */
  readonly outlivesStore?: boolean;
};

type Finding = Omit<CallCommit, "callId" | "expectedVersion">;

/** Beyond it no poll starts; those on the wire then may still add theirs. */
const maxCommitsInFlight = 1000;
const commitRetryMinMs = 100;
const commitRetryMaxMs = 2000;

/**
 * What an answer means for a call, and its commit. Memory changes after the commit, never before, and nothing leaves the
 * process until then; the commits in flight are bounded, so that polls wait for a slow store.
 */
export class TransitionRecorder {
  readonly #options: TransitionRecorderOptions;
  readonly #calls: CallRegistry;
  readonly #random: () => number;
  readonly #announce: (source: PolledSource<PolledCall>, change: SourceChange) => void;
  #commitsInFlight = 0;
  #isStopped = false;

  constructor(
    options: TransitionRecorderOptions,
    calls: CallRegistry,
    random: () => number,
    announce: (source: PolledSource<PolledCall>, change: SourceChange) => void,
  ) {
    this.#options = options;
    this.#calls = calls;
    this.#random = random;
    this.#announce = announce;
  }

  /** What is not written by then is forgotten: the next owner of the call sees it again. */
  stop(): void {
    this.#isStopped = true;
  }

  get hasCapacity(): boolean {
    return this.#commitsInFlight < maxCommitsInFlight;
  }

  /** Resolves with the wait until the call's next poll, in milliseconds. */
  async record(call: PolledCall, observation: Observation): Promise<number> {
    if (call.isDropped) return 0;
    this.#calls.followWallClock();
    const nowMs = this.#options.clock.nowMs();
    const decision = this.#decide(call, observation, nowMs);
    const { lastGoodPollAtMs, confirmed } = decision;
    const isHeld = decision.endsUncorroborated && call.source.gate.isMisconfigured;
    const changes = isHeld ? decision.changes.filter((change) => change.kind !== "end") : decision.changes;
    if (changes.length > 0 || (confirmed && call.needsFirstEvent)) {
      const isCommitted = await this.#commit(call, { nowMs, lastGoodPollAtMs, confirmed, changes });
      // Nothing was written, so nothing is remembered: the next poll sees the same again.
      if (!isCommitted) return call.intervalMs * (1 + this.#random());
    }
    call.memory = decision.memory;
    call.lastGoodPollAtMs = lastGoodPollAtMs;
    return this.#delayAfter(call, decision);
  }

  /** The watches whose deadline has passed end without another poll. Never rejects. */
  async expire(call: PolledCall, nowMs: number): Promise<void> {
    await this.#commit(call, { nowMs, lastGoodPollAtMs: call.lastGoodPollAtMs, confirmed: false, changes: [{ kind: "expire" }] });
  }

  #decide(call: PolledCall, observation: Observation, nowMs: number): PollDecision {
    const { gate, setup, name } = call.source;
    const { callStatus: status, memory, youngestWatchAtMs, earliestDeadlineAtMs } = call;
    const context = { nowMs, corroboratedAtMs: gate.lastGoodPollAtMs, jitter: this.#random() };
    const decision = decideAfterPoll({ status, memory, youngestWatchAtMs, earliestDeadlineAtMs }, observation, context, setup.policy);
    if (decision.endsUncorroborated) this.#announce(call.source, gate.recordUncorroboratedFailure(call));
    else gate.clearUncorroborated(call);
    if (decision.isRegression)
      this.#options.logger.warn({ source: name, call_id: call.callId, from: call.status }, "call.status_went_backwards");
    return decision;
  }

  /** False: the store refused or is away, and nothing has changed. */
  async #commit(call: PolledCall, finding: Finding): Promise<boolean> {
    const { metrics, logger, listeners } = this.#options;
    this.#commitsInFlight += 1;
    try {
      const result = await this.#commitUntilItSticks(call, { callId: call.callId, expectedVersion: call.version, ...finding });
      if (result.call === null) this.#calls.remove(call);
      else call.merge(result.call);
      if (result.kind === "stale") return true;
      for (const listener of listeners) listener.committed(result);
      for (const notice of result.notices) metrics.eventCommitted(notice.eventType);
      return true;
    } catch (error) {
      logger.warn({ source: call.source.name, call_id: call.callId, error: String(error) }, "poll.commit_failed");
      return false;
    } finally {
      this.#commitsInFlight -= 1;
    }
  }

  async #commitUntilItSticks(call: PolledCall, commit: CallCommit): Promise<CallCommitResult> {
    const { store, clock, outlivesStore = false } = this.#options;
    for (let retryMs = commitRetryMinMs; ; retryMs = Math.min(retryMs * 2, commitRetryMaxMs)) {
      try {
        return await store.commitCall(commit);
      } catch (error) {
        if (!outlivesStore || !isTransientStoreError(error) || call.isDropped || this.#isStopped) throw error;
        await sleep(clock, retryMs);
      }
    }
  }

  #delayAfter(call: PolledCall, { next }: PollDecision): number {
    this.#calls.updateAge(call);
    const { gate, setup } = call.source;
    // Calls registered together drift apart; the mean stays the interval.
    if (next.kind !== "delay") return call.intervalMs * (0.9 + 0.2 * this.#random());
    // Where everybody waits longer than usual, trouble is no way to be asked more often.
    return gate.intervalMs > setup.intervalMinMs ? Math.max(next.delayMs, gate.intervalMs) : next.delayMs;
  }
}

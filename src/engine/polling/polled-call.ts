import type { CallProblem, CallStatus } from "../../domain/calls/call.ts";
import { freshPollMemory, minIntervalForAge } from "../../domain/calls/poll-decision.ts";
import type { PollMemory } from "../../domain/calls/poll-decision.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import type { QueuedPoll } from "../sources/fair-poll-queue.ts";
import type { WheelEntry } from "./timing-wheel.ts";
import type { PolledSource } from "../sources/polled-source.ts";

/**
 * One watched call in memory. A process holds a hundred thousand of them, so a waiting call has no timer, promise or
 * closure of its own.
 */
export class PolledCall implements WheelEntry, QueuedPoll {
  dueAtMonotonicMs = 0;
  wheelSlot = -1;
  wheelIndex = -1;
  isFirstPoll = true;
  isQueued = false;
  queuedOrder = 0;
  /** Whether a poll or commit of the call is under way. */
  isBusy = false;
  isDropped = false;
  memory: PollMemory = freshPollMemory;
  problemDetail: string | null = null;
  minIntervalMs = 0;
  planWeight = 1;
  readonly source: PolledSource<PolledCall>;
  readonly callId: string;
  readonly callSid: string;
  readonly scope: string;
  accountId: string;
  version: number;
  status: string | null;
  reason: string;
  details: string | null;
  observedAtMs: number | null;
  lastGoodPollAtMs: number | null;
  oldestWatchAtMs: number;
  youngestWatchAtMs: number;
  earliestDeadlineAtMs: number;
  createdAtMs: number;
  needsFirstEvent: boolean;
  /** See `WatchedCall.isUnfinished`. The call is not polled before its commit is finished. */
  isUnfinished: boolean;

  constructor(source: PolledSource<PolledCall>, call: WatchedCall) {
    this.source = source;
    this.callId = call.callId;
    this.callSid = call.callSid;
    this.scope = call.scope;
    this.accountId = call.accountId;
    this.version = call.version;
    this.status = call.status.status;
    this.reason = call.status.reason;
    this.details = call.status.details;
    this.observedAtMs = call.status.observedAtMs;
    this.lastGoodPollAtMs = call.status.lastGoodPollAtMs;
    this.oldestWatchAtMs = call.oldestWatchAtMs;
    this.youngestWatchAtMs = call.youngestWatchAtMs;
    this.earliestDeadlineAtMs = call.earliestDeadlineAtMs;
    this.createdAtMs = call.createdAtMs;
    this.needsFirstEvent = call.needsFirstEvent;
    this.isUnfinished = call.isUnfinished;
  }

  /** Takes over the state in the store. */
  merge(call: WatchedCall): void {
    this.#changeAccount(call.accountId);
    this.version = call.version;
    // The time is kept while the status is the same, because it may have been shifted with the wall clock.
    if (call.status.status !== this.status) this.observedAtMs = call.status.observedAtMs;
    this.status = call.status.status;
    this.reason = call.status.reason;
    this.details = call.status.details;
    this.oldestWatchAtMs = call.oldestWatchAtMs;
    this.youngestWatchAtMs = call.youngestWatchAtMs;
    this.earliestDeadlineAtMs = call.earliestDeadlineAtMs;
    this.needsFirstEvent = call.needsFirstEvent;
    this.isUnfinished = call.isUnfinished;
  }

  get hasAnswered(): boolean {
    return this.status !== null;
  }

  /** Whether the last answer needs no confirmation by the next. */
  get isSteady(): boolean {
    return !this.memory.endSeen && this.memory.backwards === null;
  }

  get callStatus(): CallStatus {
    return {
      status: this.status,
      reason: this.reason,
      details: this.details,
      terminal: false,
      observedAtMs: this.observedAtMs,
      lastGoodPollAtMs: this.lastGoodPollAtMs,
    };
  }

  /** Merges unless a later commit was merged before: the answer to a registration may arrive late. */
  mergeNewer(call: WatchedCall): void {
    if (call.version >= this.version) this.merge(call);
  }

  /** Shifts times after a step of the wall clock, so that elapsed times stay; deadlines are wall times and do not move. */
  shiftTimes(steppedMs: number): void {
    const { rejection, uncorroboratedSinceMs } = this.memory;
    if (this.observedAtMs !== null) this.observedAtMs += steppedMs;
    if (this.lastGoodPollAtMs !== null) this.lastGoodPollAtMs += steppedMs;
    this.createdAtMs += steppedMs;
    this.oldestWatchAtMs += steppedMs;
    this.youngestWatchAtMs += steppedMs;
    if (rejection === null && uncorroboratedSinceMs === null) return;
    this.memory = {
      ...this.memory,
      rejection: rejection === null ? null : { ...rejection, sinceMs: rejection.sinceMs + steppedMs },
      uncorroboratedSinceMs: uncorroboratedSinceMs === null ? null : uncorroboratedSinceMs + steppedMs,
    };
  }

  /** Regular time between polls. */
  get intervalMs(): number {
    return Math.max(this.source.gate.rate.intervalMs(this.accountId), this.minIntervalMs);
  }

  /** Returns the shortest interval that the call's age allows; 0 if the source's own applies. */
  ageIntervalMs(nowMs: number): number {
    return minIntervalForAge(nowMs - Math.max(this.observedAtMs ?? this.createdAtMs, this.youngestWatchAtMs));
  }

  get problem(): CallProblem | null {
    const { state } = this.source.gate.healthFor(this.accountId);
    if (state === "suspended") return "source_suspended";
    if (this.status === null && this.memory.rejection !== null) return "not_found_yet";
    if (state === "circuit_open" || this.memory.failures > 0 || this.memory.rejection !== null) return "upstream_errors";
    return state === "slowed" ? "source_slowed" : null;
  }

  #changeAccount(accountId: string): void {
    if (accountId === this.accountId) return;
    if (!this.isDropped) {
      this.source.gate.rate.changeLoad(this.accountId, this.minIntervalMs, -1, this.planWeight);
      this.source.gate.rate.changeLoad(accountId, this.minIntervalMs, 1, this.planWeight);
    }
    this.accountId = accountId;
  }
}

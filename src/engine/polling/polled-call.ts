import type { CallProblem, CallStatus } from "../../domain/calls/call.ts";
import { freshPollMemory, minIntervalForAge } from "../../domain/calls/poll-decision.ts";
import type { PollMemory } from "../../domain/calls/poll-decision.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import type { QueuedPoll } from "../sources/fair-poll-queue.ts";
import type { WheelEntry } from "./timing-wheel.ts";
import type { PolledSource } from "../sources/polled-source.ts";

/**
 * One watched call in memory. A hundred thousand of these are held, so there is nothing in it that need not be: no
 * timer, no promise, no closure while it waits.
 */
export class PolledCall implements WheelEntry, QueuedPoll {
  dueAtMonotonicMs = 0;
  wheelSlot = -1;
  wheelIndex = -1;
  isFirstPoll = true;
  isQueued = false;
  /** A poll or a commit of it is under way. */
  isBusy = false;
  isDropped = false;
  memory: PollMemory = freshPollMemory;
  minIntervalMs = 0;
  readonly source: PolledSource<PolledCall>;
  readonly callId: string;
  readonly callSid: string;
  readonly scope: string;
  accountId: string;
  version: number;
  status: string | null;
  reason: string;
  observedAtMs: number | null;
  lastGoodPollAtMs: number | null;
  youngestWatchAtMs: number;
  earliestDeadlineAtMs: number;
  createdAtMs: number;
  needsFirstEvent: boolean;

  constructor(source: PolledSource<PolledCall>, call: WatchedCall) {
    this.source = source;
    this.callId = call.callId;
    this.callSid = call.callSid;
    this.scope = call.scope;
    this.accountId = call.accountId;
    this.version = call.version;
    this.status = call.status.status;
    this.reason = call.status.reason;
    this.observedAtMs = call.status.observedAtMs;
    this.lastGoodPollAtMs = call.status.lastGoodPollAtMs;
    this.youngestWatchAtMs = call.youngestWatchAtMs;
    this.earliestDeadlineAtMs = call.earliestDeadlineAtMs;
    this.createdAtMs = call.createdAtMs;
    this.needsFirstEvent = call.needsFirstEvent;
  }

  /** Takes over how things stand in the store. */
  merge(call: WatchedCall): void {
    this.accountId = call.accountId;
    this.version = call.version;
    // Kept while it is the same status: it may have followed the wall clock.
    if (call.status.status !== this.status) this.observedAtMs = call.status.observedAtMs;
    this.status = call.status.status;
    this.reason = call.status.reason;
    this.youngestWatchAtMs = call.youngestWatchAtMs;
    this.earliestDeadlineAtMs = call.earliestDeadlineAtMs;
    this.needsFirstEvent = call.needsFirstEvent;
  }

  get callStatus(): CallStatus {
    return {
      status: this.status,
      reason: this.reason,
      terminal: false,
      observedAtMs: this.observedAtMs,
      lastGoodPollAtMs: this.lastGoodPollAtMs,
    };
  }

  /** What a registration read may arrive after what a later commit said. */
  mergeNewer(call: WatchedCall): void {
    if (call.version >= this.version) this.merge(call);
  }

  /** The wall clock was set: what has lasted so long has still lasted so long. Deadlines are wall times and stay. */
  shiftTimes(steppedMs: number): void {
    const { rejection, uncorroboratedSinceMs } = this.memory;
    if (this.observedAtMs !== null) this.observedAtMs += steppedMs;
    if (this.lastGoodPollAtMs !== null) this.lastGoodPollAtMs += steppedMs;
    this.createdAtMs += steppedMs;
    this.youngestWatchAtMs += steppedMs;
    if (rejection === null && uncorroboratedSinceMs === null) return;
    this.memory = {
      ...this.memory,
      rejection: rejection === null ? null : { ...rejection, sinceMs: rejection.sinceMs + steppedMs },
      uncorroboratedSinceMs: uncorroboratedSinceMs === null ? null : uncorroboratedSinceMs + steppedMs,
    };
  }

  /** How long to wait between polls when nothing is out of the ordinary. */
  get intervalMs(): number {
    return Math.max(this.source.gate.intervalMs, this.minIntervalMs);
  }

  /** The least interval its age asks for; 0: the source's own. */
  ageIntervalMs(nowMs: number): number {
    return minIntervalForAge(nowMs - Math.max(this.observedAtMs ?? this.createdAtMs, this.youngestWatchAtMs));
  }

  get problem(): CallProblem | null {
    const { state } = this.source.gate.health();
    if (state === "suspended") return "source_suspended";
    if (this.status === null && this.memory.rejection !== null) return "not_found_yet";
    if (state === "circuit_open" || this.memory.failures > 0 || this.memory.rejection !== null) return "upstream_errors";
    return state === "slowed" ? "source_slowed" : null;
  }
}

import type { CallProblem, CallStatus } from "../domain/call.ts";
import { freshPollMemory, minIntervalForAge } from "../domain/poll-decision.ts";
import type { PollMemory } from "../domain/poll-decision.ts";
import type { WatchedCall } from "../ports/call-store.ts";
import type { Queued } from "./source-queue.ts";
import type { WheelEntry } from "./poll-schedule.ts";
import type { PolledSource } from "./polled-source.ts";

/**
 * One watched call in memory. A hundred thousand of these are held, so there is nothing in it that need not be: no
 * timer, no promise, no closure while it waits.
 */
export class PolledCall implements WheelEntry, Queued {
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
  readonly source: PolledSource;
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
  untold: boolean;

  constructor(source: PolledSource, call: WatchedCall) {
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
    this.untold = call.untold;
  }

  /** Takes over what a commit says. The store answers in the order of its commits, so the last answer is how things stand. */
  merge(call: WatchedCall): void {
    this.accountId = call.accountId;
    this.version = call.version;
    this.status = call.status.status;
    this.reason = call.status.reason;
    this.observedAtMs = call.status.observedAtMs;
    this.youngestWatchAtMs = call.youngestWatchAtMs;
    this.earliestDeadlineAtMs = call.earliestDeadlineAtMs;
    this.untold = call.untold;
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

  /** The least interval its age asks for; 0: the source's own. */
  ageIntervalMs(nowMs: number): number {
    return minIntervalForAge(nowMs - Math.max(this.observedAtMs ?? this.createdAtMs, this.youngestWatchAtMs));
  }

  get problem(): CallProblem | null {
    const { state } = this.source.gate.health();
    if (state === "suspended") return "source_suspended";
    if (this.status === null && this.memory.denial !== null) return "not_found_yet";
    if (state === "circuit_open" || this.memory.failures > 0 || this.memory.denial !== null) return "upstream_errors";
    return state === "slowed" ? "source_slowed" : null;
  }
}

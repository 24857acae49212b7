import type { WatchedCall } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import { PolledCall } from "./polled-call.ts";
import type { PolledSource } from "../sources/polled-source.ts";

/** Smallest difference between wall and monotonic clock that counts as a step of the wall clock. */
const wallStepMs = 1000;

/** All watched calls of this process, by id and by (source, scope, call SID). Each counts in the load of its source. */
export class CallRegistry {
  readonly #clock: Clock;
  readonly #byId = new Map<string, PolledCall>();
  readonly #bySid = new Map<string, PolledCall>();
  /** Account ids, so that all calls of an account use the same string in memory. */
  readonly #accountIds = new Map<string, string>();

  /** Wall time minus monotonic time. */
  #wallOffsetMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wallOffsetMs = clock.nowMs() - clock.monotonicMs();
  }

  get(callId: string): PolledCall | undefined {
    return this.#byId.get(callId);
  }

  find(sourceName: string, scope: string, callSid: string): PolledCall | undefined {
    return this.#bySid.get(sidKey(sourceName, scope, callSid));
  }

  all(): IterableIterator<PolledCall> {
    return this.#byId.values();
  }

  add(source: PolledSource<PolledCall>, call: WatchedCall): PolledCall {
    const accountId = this.#accountIds.get(call.accountId) ?? call.accountId;
    this.#accountIds.set(accountId, accountId);
    const added = new PolledCall(source, { ...call, accountId });
    this.#byId.set(call.callId, added);
    this.#bySid.set(sidKey(source.name, call.scope, call.callSid), added);
    added.minIntervalMs = added.ageIntervalMs(this.#clock.nowMs());
    source.gate.rate.changeLoad(added.accountId, added.minIntervalMs, 1);
    return added;
  }

  /** Adapts the load to the call's age: older calls are polled less often. */
  updateAge(call: PolledCall): void {
    const minIntervalMs = call.ageIntervalMs(this.#clock.nowMs());
    if (minIntervalMs === call.minIntervalMs) return;
    call.source.gate.rate.changeLoad(call.accountId, call.minIntervalMs, -1, call.planWeight);
    call.source.gate.rate.changeLoad(call.accountId, minIntervalMs, 1, call.planWeight);
    call.minIntervalMs = minIntervalMs;
  }

  remove(call: PolledCall): void {
    if (call.isDropped) return;
    const { gate, name } = call.source;
    call.isDropped = true;
    gate.queue.remove(call);
    gate.clearUncorroborated(call);
    gate.rate.changeLoad(call.accountId, call.minIntervalMs, -1, call.planWeight);
    this.#byId.delete(call.callId);
    this.#bySid.delete(sidKey(name, call.scope, call.callSid));
  }

  /** Shifts all wall times in memory after the wall clock was set, so that elapsed times stay as they are. */
  followWallClock(): void {
    const offsetMs = this.#clock.nowMs() - this.#clock.monotonicMs();
    const steppedMs = Math.round(offsetMs - this.#wallOffsetMs);
    if (Math.abs(steppedMs) < wallStepMs) return;
    this.#wallOffsetMs = offsetMs;
    for (const call of this.#byId.values()) call.shiftTimes(steppedMs);
  }
}

function sidKey(sourceName: string, scope: string, callSid: string): string {
  return `${sourceName} ${scope} ${callSid}`;
}

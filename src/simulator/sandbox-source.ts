import { randomUUID } from "node:crypto";
import type { Observation } from "../domain/calls/call.ts";
import type { PollPolicy } from "../domain/calls/poll-decision.ts";
import { sandboxScenarioOf, sandboxScenarios } from "../domain/sources/sandbox.ts";
import type { CallSource, PollAnswer, PollTarget } from "../ports/call-source.ts";
import type { CallBody, CallFault, CallTrigger } from "../ports/call-trigger.ts";
import type { Clock } from "../ports/clock.ts";
import { endOf, scenarios, statusAt } from "./scenarios.ts";
import type { Scenario } from "./scenarios.ts";

/**
 * Waits of the sandbox, short enough that `lost` and `not-found` end within about 10 s. An ending needs no corroboration,
 * because the scripts cannot be misconfigured (`uncorroboratedEndMs` is 0).
 */
export const sandboxPolling = {
  intervalMinMs: 500,
  intervalMaxMs: 1_000,
  maxPollsPerSecond: 2_000,
  notFoundGraceMs: 8_000,
  lostAfterMs: 4_000,
  statusRetentionMs: 2 * 60 * 60 * 1000,
  backoffMinMs: 500,
  backoffMaxMs: 1_000,
  corroborationMs: 10 * 60 * 1000,
  uncorroboratedEndMs: 0,
} as const satisfies PollPolicy & Readonly<Record<string, number>>;

/** Age after which a life may be evicted. Longer than the life of any scenario. */
const forgottenAfterMs = 10 * 60 * 1000;
const defaultMaxLives = 100_000;

/**
 * Source that needs neither a phone call nor a PolyAI account. The life of a call begins with its first poll and exists
 * only in this process, so that it begins again after a restart.
 */
export class SandboxSource implements CallSource {
  readonly trigger: CallTrigger = { prepare: prepareSandboxCall };
  readonly #clock: Clock;
  readonly #maxLives: number;
  /** Start times of an account's lives by SID, in order of starting: the first one is the oldest. */
  readonly #lives = new Map<string, Map<string, number>>();
  #count = 0;

  constructor(options: { readonly clock: Clock; readonly maxLives?: number }) {
    this.#clock = options.clock;
    this.#maxLives = options.maxLives ?? defaultMaxLives;
  }

  /** Whether the life of the call has ended or not begun in this process. */
  isOver(scope: string, callSid: string): boolean {
    const scenario = sandboxScenarioOf(callSid);
    const startedAtMs = this.#lives.get(scope)?.get(callSid);
    if (scenario === null || startedAtMs === undefined) return true;
    return this.#clock.monotonicMs() - startedAtMs >= lifeOf(scenarios[scenario]);
  }

  /** Makes the next poll of the call the first one of a new life. */
  restart(scope: string, callSid: string): void {
    this.#forget(scope, callSid);
  }

  poll(target: PollTarget): Promise<PollAnswer> {
    return Promise.resolve({ observation: this.#observe(target), upstreamDateMs: null, durationMs: 0, correlationId: null });
  }

  /** The scenarios are checked with the request, which names them. */
  sidFault(callSid: string): string | null {
    return sandboxScenarioOf(callSid) === null ? "must be OUT-sandbox- and a scenario" : null;
  }

  close(): Promise<void> {
    this.#lives.clear();
    this.#count = 0;
    return Promise.resolve();
  }

  #observe({ scope, callSid }: PollTarget): Observation {
    const scenario = sandboxScenarioOf(callSid);
    if (scenario === null) return { kind: "rejected" };
    const startedAtMs = this.#startOf(scope, callSid);
    const elapsedMs = this.#clock.monotonicMs() - startedAtMs;
    const status = statusAt(scenarios[scenario], elapsedMs);
    return status === null ? { kind: "not_found" } : { kind: "status", ...status, isMapped: true, isTentative: false, details: null };
  }

  #startOf(scope: string, callSid: string): number {
    const known = this.#lives.get(scope)?.get(callSid);
    if (known !== undefined) return known;
    const nowMs = this.#clock.monotonicMs();
    this.#makeRoom(scope, nowMs - forgottenAfterMs);
    const lives = this.#lives.get(scope) ?? new Map<string, number>();
    this.#lives.set(scope, lives.set(callSid, nowMs));
    this.#count += 1;
    return nowMs;
  }

  /** Forgets lives of the account that are long over, then the oldest of the account that has the most, so that none loses one to another. */
  #makeRoom(scope: string, beforeMs: number): void {
    for (const [callSid, startedAtMs] of this.#lives.get(scope) ?? []) {
      if (startedAtMs > beforeMs) break;
      this.#forget(scope, callSid);
    }
    while (this.#count >= this.#maxLives) {
      const [largest, lives] = [...this.#lives].reduce((most, next) => (next[1].size > most[1].size ? next : most));
      const [oldest] = lives.keys();
      if (oldest === undefined) return;
      this.#forget(largest, oldest);
    }
  }

  #forget(scope: string, callSid: string): void {
    const lives = this.#lives.get(scope);
    if (lives?.delete(callSid) !== true) return;
    this.#count -= 1;
    if (lives.size === 0) this.#lives.delete(scope);
  }
}

/** A call is named by its scenario. No life begins before the first poll. */
function prepareSandboxCall(call: CallBody): ReturnType<CallTrigger["prepare"]> {
  const { scenario, ...others } = call;
  const faults: CallFault[] = Object.keys(others).map((key) => ({
    path: [key],
    detail: "is not a key of a sandbox call, which has a scenario",
  }));
  if (!(sandboxScenarios as readonly unknown[]).includes(scenario))
    faults.push({ path: ["scenario"], detail: `must be ${sandboxScenarios.join(", ")}` });
  if (faults.length > 0) return { kind: "invalid", faults };
  const send = () => Promise.resolve({ kind: "placed", callSid: `OUT-sandbox-${String(scenario)}-${randomUUID()}` } as const);
  return { kind: "ready", number: null, numberPath: [], hasCountryCode: false, send };
}

/** Returns the length of a life. A life without an end lasts until the call counts as lost. */
function lifeOf(scenario: Scenario): number {
  return endOf(scenario) ?? (scenario.at(-1)?.atMs ?? 0) + sandboxPolling.lostAfterMs;
}

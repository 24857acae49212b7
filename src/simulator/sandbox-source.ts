import type { Observation } from "../domain/calls/call.ts";
import type { PollPolicy } from "../domain/calls/poll-decision.ts";
import { sandboxScenarioOf } from "../domain/sources/sandbox.ts";
import type { CallSource, PollAnswer, PollTarget } from "../ports/call-source.ts";
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
  readonly #clock: Clock;
  readonly #maxLives: number;
  /** Start times by scope and SID, in order of starting: the first one is the oldest. */
  readonly #startedAtMs = new Map<string, number>();

  constructor(options: { readonly clock: Clock; readonly maxLives?: number }) {
    this.#clock = options.clock;
    this.#maxLives = options.maxLives ?? defaultMaxLives;
  }

  /** Whether the life of the call has ended or not begun in this process. */
  isOver(scope: string, callSid: string): boolean {
    const scenario = sandboxScenarioOf(callSid);
    const startedAtMs = this.#startedAtMs.get(keyOf(scope, callSid));
    if (scenario === null || startedAtMs === undefined) return true;
    return this.#clock.monotonicMs() - startedAtMs >= lifeOf(scenarios[scenario]);
  }

  /** Makes the next poll of the call the first one of a new life. */
  restart(scope: string, callSid: string): void {
    this.#startedAtMs.delete(keyOf(scope, callSid));
  }

  poll(target: PollTarget): Promise<PollAnswer> {
    return Promise.resolve({ observation: this.#observe(target), upstreamDateMs: null, durationMs: 0 });
  }

  close(): Promise<void> {
    this.#startedAtMs.clear();
    return Promise.resolve();
  }

  #observe({ scope, callSid }: PollTarget): Observation {
    const scenario = sandboxScenarioOf(callSid);
    if (scenario === null) return { kind: "rejected" };
    const startedAtMs = this.#startOf(keyOf(scope, callSid));
    const elapsedMs = this.#clock.monotonicMs() - startedAtMs;
    const status = statusAt(scenarios[scenario], elapsedMs);
    return status === null ? { kind: "not_found" } : { kind: "status", ...status };
  }

  #startOf(key: string): number {
    const known = this.#startedAtMs.get(key);
    if (known !== undefined) return known;
    const nowMs = this.#clock.monotonicMs();
    this.#makeRoom(nowMs - forgottenAfterMs);
    this.#startedAtMs.set(key, nowMs);
    return nowMs;
  }

  #makeRoom(beforeMs: number): void {
    for (const [key, startedAtMs] of this.#startedAtMs) {
      if (startedAtMs > beforeMs && this.#startedAtMs.size < this.#maxLives) return;
      this.#startedAtMs.delete(key);
    }
  }
}

/** Returns the length of a life. A life without an end lasts until the call counts as lost. */
function lifeOf(scenario: Scenario): number {
  return endOf(scenario) ?? (scenario.at(-1)?.atMs ?? 0) + sandboxPolling.lostAfterMs;
}

function keyOf(scope: string, callSid: string): string {
  return `${scope}\n${callSid}`;
}

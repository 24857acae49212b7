import { FaultQueue } from "./fault.ts";
import type { Fault } from "./fault.ts";
import { endOf, isScenarioName, phaseAt, scenarios } from "./scenarios.ts";
import type { Phase, Scenario, ScenarioName } from "./scenarios.ts";

/** Script of a call. `verbatim`: statuses are sent as written, not in the case of the API. */
export type CallScript = {
  readonly scenario?: Scenario | ScenarioName;
  readonly faults?: readonly Fault[];
  readonly verbatim?: boolean;
};

export type ScriptedCall = {
  readonly scenario: Scenario;
  readonly startedAtMs: number;
  readonly faults: FaultQueue | null;
  readonly verbatim: boolean;
};

/** Calls of the simulated upstream. Beyond `maxCalls` the oldest is evicted. Times are monotonic milliseconds. */
export class ScriptedCalls {
  readonly #calls = new Map<string, ScriptedCall>();
  readonly #retentionMs: number;
  readonly #maxCalls: number;

  constructor(options: { readonly retentionMs: number; readonly maxCalls: number }) {
    this.#retentionMs = options.retentionMs;
    this.#maxCalls = options.maxCalls;
  }

  /** Starts or restarts the call now. */
  start(callSid: string, script: CallScript, nowMs: number): void {
    const { scenario = "success", faults = [], verbatim = false } = script;
    const queue = faults.length === 0 ? null : new FaultQueue();
    for (const fault of faults) queue?.add(fault);
    this.#calls.delete(callSid);
    this.#calls.set(callSid, { scenario: scenarioOf(scenario), startedAtMs: nowMs, faults: queue, verbatim });
    if (this.#calls.size > this.#maxCalls) this.#calls.delete(this.#calls.keys().next().value ?? "");
  }

  get(callSid: string): ScriptedCall | null {
    return this.#calls.get(callSid) ?? null;
  }

  /** Returns the phase of a call; `null` if it is unknown, not yet started, or past its retention. */
  phaseOf(call: ScriptedCall, nowMs: number): Phase | null {
    const elapsedMs = nowMs - call.startedAtMs;
    const endMs = endOf(call.scenario);
    if (endMs !== null && elapsedMs > endMs + this.#retentionMs) return null;
    const phase = phaseAt(call.scenario, elapsedMs);
    return phase === null || phase.status === null ? null : phase;
  }
}

function scenarioOf(scenario: Scenario | ScenarioName): Scenario {
  if (typeof scenario !== "string") return scenario;
  if (!isScenarioName(scenario)) throw new Error(`no scenario is called ${JSON.stringify(scenario)}`);
  return scenarios[scenario];
}

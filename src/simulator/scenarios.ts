import type { SandboxScenario } from "../domain/sources/sandbox.ts";

/** What a call says from `atMs` after its start on. `status` null: the upstream does not know it (404); `reason` null: no such key in the answer. */
export type Phase = { readonly atMs: number; readonly status: string | null; readonly reason?: string | null };

/** A call's scripted life: phases by rising `atMs`. Before the first one the upstream does not know the call. */
export type Scenario = readonly Phase[];

/** The phase a call is in; null before the first. */
export function phaseAt(scenario: Scenario, elapsedMs: number): Phase | null {
  return scenario.findLast((phase) => phase.atMs <= elapsedMs) ?? null;
}

/** The status a call has, or null while the upstream does not know it. */
export function statusAt(scenario: Scenario, elapsedMs: number): { readonly status: string; readonly reason: string } | null {
  const phase = phaseAt(scenario, elapsedMs);
  return phase === null || phase.status === null ? null : { status: phase.status, reason: phase.reason ?? "" };
}

/** When the call ends, in milliseconds after its start; null for a life without an end. */
export function endOf(scenario: Scenario): number | null {
  const end = scenario.find((phase) => phase.status !== null && /^(?:success|failure)$/i.test(phase.status));
  return end?.atMs ?? null;
}

/** The reason PolyAI's documentation gives as its example. */
const queueingTimeout = "call queueing: max timeout limit exceeded";

/** Lives of about 10 s; these are what the source `sandbox` plays. */
const sandboxLives: Readonly<Record<SandboxScenario, Scenario>> = {
  success: [
    { atMs: 0, status: "queued" },
    { atMs: 3_000, status: "calling" },
    { atMs: 9_000, status: "success" },
  ],
  failure: [
    { atMs: 0, status: "queued" },
    { atMs: 3_000, status: "calling" },
    { atMs: 8_000, status: "failure", reason: queueingTimeout },
  ],
  // Known and then forgotten: no end is ever seen.
  lost: [
    { atMs: 0, status: "queued" },
    { atMs: 2_000, status: "calling" },
    { atMs: 4_000, status: null },
  ],
  slow: [
    { atMs: 0, status: "queued" },
    { atMs: 7_000, status: "calling" },
    { atMs: 12_000, status: "success" },
  ],
  "not-found": [],
};

/** Every life that has a name. The rest of what an upstream can do to a bridge is here and not in the sandbox. */
export const scenarios = {
  ...sandboxLives,
  instant: [{ atMs: 0, status: "success" }],
  // The status may be asked for before the trigger has landed.
  late: [
    { atMs: 3_000, status: "queued" },
    { atMs: 5_000, status: "calling" },
    { atMs: 8_000, status: "success" },
  ],
  backwards: [
    { atMs: 0, status: "queued" },
    { atMs: 2_000, status: "calling" },
    { atMs: 5_000, status: "queued" },
    { atMs: 8_000, status: "calling" },
    { atMs: 10_000, status: "success" },
  ],
  "unknown-status": [
    { atMs: 0, status: "queued" },
    { atMs: 2_000, status: "ringing" },
    { atMs: 5_000, status: "calling" },
    { atMs: 8_000, status: "success" },
  ],
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof scenarios;

/** Narrows a name from outside. */
export function isScenarioName(name: string): name is ScenarioName {
  return Object.hasOwn(scenarios, name);
}

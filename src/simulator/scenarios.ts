import type { SandboxScenario } from "../domain/sources/sandbox.ts";

/**
 * Phase of a call, which begins `atMs` after the start of the call. If `status` is `null`, the upstream answers 404. If
 * `reason` is `null`, the answer lacks the key. `data` are further values for the template of a shape.
 */
export type Phase = {
  readonly atMs: number;
  readonly status: string | null;
  readonly reason?: string | null;
  readonly data?: Readonly<Record<string, unknown>>;
};

/** Scripted life of a call: phases by rising `atMs`. Before the first one the upstream answers 404. */
export type Scenario = readonly Phase[];

/** Returns the phase of a call; `null` before the first. */
export function phaseAt(scenario: Scenario, elapsedMs: number): Phase | null {
  return scenario.findLast((phase) => phase.atMs <= elapsedMs) ?? null;
}

/** Returns the status of a call; `null` while the upstream answers 404. */
export function statusAt(scenario: Scenario, elapsedMs: number): { readonly status: string; readonly reason: string } | null {
  const phase = phaseAt(scenario, elapsedMs);
  return phase === null || phase.status === null ? null : { status: phase.status, reason: phase.reason ?? "" };
}

/** Returns when the call ends, in milliseconds after its start; `null` for a life without an end. */
export function endOf(scenario: Scenario): number | null {
  const end = scenario.find((phase) => phase.status !== null && /^(?:success|failure)$/i.test(phase.status));
  return end?.atMs ?? null;
}

/** Example reason of PolyAI's documentation. */
export const queueingTimeout = "call queueing: max timeout limit exceeded";

/** Returns a life from `queued` at its start. */
export function lifeTo(end: "success" | "failure", { callingMs, endMs }: { readonly callingMs: number; readonly endMs: number }): Scenario {
  const last = end === "success" ? { status: end } : { status: end, reason: queueingTimeout };
  return [
    { atMs: 0, status: "queued" },
    { atMs: callingMs, status: "calling" },
    { atMs: endMs, ...last },
  ];
}

/** Lives of about 10 s, played by the source `sandbox`. */
const sandboxLives: Readonly<Record<SandboxScenario, Scenario>> = {
  success: lifeTo("success", { callingMs: 3_000, endMs: 9_000 }),
  failure: lifeTo("failure", { callingMs: 3_000, endMs: 8_000 }),
  // The upstream answers 404 from the fourth second on, so the end of the call is never observed.
  lost: [
    { atMs: 0, status: "queued" },
    { atMs: 2_000, status: "calling" },
    { atMs: 4_000, status: null },
  ],
  slow: lifeTo("success", { callingMs: 7_000, endMs: 12_000 }),
  "not-found": [],
};

/** All named lives: those of the sandbox, and further ones that an upstream may show. */
export const scenarios = {
  ...sandboxLives,
  instant: [{ atMs: 0, status: "success" }],
  // The first polls are answered 404, because the trigger has not taken effect yet.
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
    { atMs: 2_000, status: "on-hold" },
    { atMs: 5_000, status: "calling" },
    { atMs: 8_000, status: "success" },
  ],
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof scenarios;

/** Whether a string names a scenario. */
export function isScenarioName(name: string): name is ScenarioName {
  return Object.hasOwn(scenarios, name);
}

export const sandboxScenarios = ["success", "failure", "lost", "slow", "not-found"] as const;
export type SandboxScenario = (typeof sandboxScenarios)[number];

/** Name and kind of the built-in source that always exists. */
export const sandboxSourceName = "sandbox";

const pattern = /^OUT-sandbox-(.+)$/;

/** Whether a SID belongs to the sandbox, also with an unknown scenario. */
export function isSandboxSid(callSid: string): boolean {
  return pattern.test(callSid);
}

/** Returns the scenario of a sandbox SID (`OUT-sandbox-<scenario>[-<anything>]`); `null` for an unknown scenario or another SID. */
export function sandboxScenarioOf(callSid: string): SandboxScenario | null {
  const rest = pattern.exec(callSid)?.[1];
  return sandboxScenarios.find((scenario) => rest === scenario || rest?.startsWith(`${scenario}-`)) ?? null;
}

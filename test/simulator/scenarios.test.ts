import { expect, test } from "vitest";
import { sandboxScenarioOf, sandboxScenarios } from "../../src/domain/sources/sandbox.ts";
import { endOf, scenarios, statusAt } from "../../src/simulator/scenarios.ts";

test.each([
  ["success", 0, "queued"],
  ["success", 2_999, "queued"],
  ["success", 3_000, "calling"],
  ["success", 9_000, "success"],
  ["success", 9_999_999, "success"],
  ["failure", 8_000, "failure"],
  ["lost", 3_999, "calling"],
  ["lost", 4_000, null],
  ["slow", 6_999, "queued"],
  ["slow", 12_000, "success"],
  ["not-found", 0, null],
  ["not-found", 9_999_999, null],
  ["late", 2_999, null],
  ["late", 3_000, "queued"],
  ["backwards", 5_000, "queued"],
  ["unknown-status", 2_000, "on-hold"],
  ["instant", 0, "success"],
] as const)("%s after %i ms is %s", (name, elapsedMs, status) => {
  expect(statusAt(scenarios[name], elapsedMs)?.status ?? null).toBe(status);
});

test("only a failure has a reason", () => {
  expect(statusAt(scenarios.failure, 8_000)).toEqual({ status: "failure", reason: "call queueing: max timeout limit exceeded" });
  expect(statusAt(scenarios.success, 9_000)).toEqual({ status: "success", reason: "" });
});

test("a call before its start is unknown", () => {
  expect(statusAt(scenarios.success, -1)).toBeNull();
});

test.each(Object.entries(scenarios))("the phases of %s are in order and end within 12 s", (_name, scenario) => {
  const starts = scenario.map((phase) => phase.atMs);
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(endOf(scenario) ?? 0).toBeLessThanOrEqual(12_000);
});

test.each([
  ["OUT-sandbox-success", "success"],
  ["OUT-sandbox-not-found", "not-found"],
  ["OUT-sandbox-not-found-7", "not-found"],
  ["OUT-sandbox-lost-a-b_c", "lost"],
  ["OUT-sandbox-successful", null],
  ["OUT-sandbox-", null],
  ["OUT-sandbox-not", null],
  ["OUT-sandbox", null],
  ["OUT-550e8400", null],
])("the SID %s asks for %s", (callSid, scenario) => {
  expect(sandboxScenarioOf(callSid)).toBe(scenario);
});

test("every sandbox scenario has a life", () => {
  for (const name of sandboxScenarios) expect(scenarios[name]).toBeDefined();
});

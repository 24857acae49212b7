import { expect, test } from "vitest";
import { hasEndpointChanged } from "../../../src/domain/deliveries/endpoint.ts";
import type { EndpointHealth } from "../../../src/domain/deliveries/endpoint.ts";

const health: EndpointHealth = {
  consecutiveFailures: 0,
  failingSinceMs: null,
  lastSuccessAtMs: 10_000,
  pausedUntilMs: null,
  pausedSinceMs: null,
  consecutivePauses: 0,
  pauseReason: null,
};
const before = { state: "enabled", reason: null, health } as const;

test.each([
  ["a success in the same second", {}, { lastSuccessAtMs: 10_999 }, false],
  ["a success a second later", {}, { lastSuccessAtMs: 11_000 }, true],
  ["a success before the last, after the clock was set", {}, { lastSuccessAtMs: 9999 }, true],
  ["a failure", {}, { consecutiveFailures: 1, failingSinceMs: 10_100 }, true],
  ["a pause", {}, { pausedUntilMs: 20_000, consecutivePauses: 1 }, true],
  ["a state", { state: "disabled", reason: "gone" }, {}, true],
] as const)("%s is written down or not", (_name, standing, changed, isNews) => {
  expect(hasEndpointChanged(before, { ...before, ...standing, health: { ...health, ...changed } })).toBe(isNews);
});

import { expect, test } from "vitest";
import { hasEndpointChanged, mayLeaseNow } from "../../../src/domain/deliveries/endpoint.ts";
import type { EndpointHealth } from "../../../src/domain/deliveries/endpoint.ts";

const health: EndpointHealth = {
  consecutiveFailures: 0,
  failingSinceMs: null,
  lastSuccessAtMs: 10_000,
  pausedUntilMs: null,
  pausedSinceMs: null,
  consecutivePauses: 0,
  pauseReason: null,
  recoveries: 0,
  recoveredAtMs: null,
  isReportedFailing: false,
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

test.each([
  ["healthy", "enabled", 0, 0, true],
  ["after a pause of its own", "enabled", 1, 0, false],
  ["after a pause of its host", "enabled", 0, 1, false],
  ["paused by its owner", "paused", 0, 0, false],
  ["disabled", "disabled", 0, 0, false],
] as const)("new deliveries to an endpoint that is %s are leased at once or not", (_name, state, own, ofHost, leased) => {
  expect(mayLeaseNow({ state, health: { consecutivePauses: own }, hostConsecutivePauses: ofHost })).toBe(leased);
});

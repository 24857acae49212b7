import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { accountLimitEntries, checkQuota, describeQuota, mapAccountLimits } from "../../src/domain/quotas.ts";
import type { QuotaName } from "../../src/domain/quotas.ts";

const quotas = { maxActiveWatches: 2, maxWatchesPerCall: 0, maxEndpoints: 1, maxHooks: 0 };

describe("checkQuota", () => {
  test.each<[quota: QuotaName, used: number, exceeded: boolean]>([
    ["maxActiveWatches", 1, false],
    ["maxActiveWatches", 2, true],
    ["maxActiveWatches", 3, true],
    ["maxEndpoints", 1, true],
    ["maxHooks", 1_000_000, false],
  ])("%s with %i used", (quota, used, exceeded) => {
    const expected = exceeded ? { kind: "quota_exceeded", quota, limit: quotas[quota] } : null;
    expect(checkQuota(quotas, quota, () => used)).toEqual(expected);
  });

  test("an exceeded quota in words", () => {
    expect(describeQuota({ kind: "quota_exceeded", quota: "maxActiveWatches", limit: 2 })).toBe(
      "the account has reached its quota of 2 active watches",
    );
  });
});

test("defaults of the contract", () => {
  expect(mapAccountLimits(({ variable, defaultLimit }) => [variable, defaultLimit])).toEqual({
    apiMaxPerSecond: ["API_MAX_PER_SECOND", 1000],
    maxActiveWatches: ["ACCOUNT_MAX_ACTIVE_WATCHES", 200_000],
    maxWatchesPerCall: ["ACCOUNT_MAX_WATCHES_PER_CALL", 100],
    maxEndpoints: ["ACCOUNT_MAX_ENDPOINTS", 50_000],
    maxHooks: ["ACCOUNT_MAX_HOOKS", 100],
    manualMaxInFlight: ["ACCOUNT_MANUAL_MAX_IN_FLIGHT", 4],
    maxWaitingRequests: ["ACCOUNT_MAX_WAITING_REQUESTS", 1000],
    maxStoredAnswersMib: ["ACCOUNT_MAX_STORED_ANSWERS_MIB", 512],
  });
});

test.each(accountLimitEntries)("the operator's guide has a row for %s", (_, { variable, defaultLimit, unit }) => {
  const guide = readFileSync(new URL("../../src/http/docs/guides/configuration.md", import.meta.url), "utf8");
  expect(guide).toContain(`\n| \`${variable}\` | \`${defaultLimit}\` | ${unit} |\n`);
});

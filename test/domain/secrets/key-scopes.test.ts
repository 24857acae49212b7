import { describe, expect, test } from "vitest";
import { keyNameFault } from "../../../src/domain/secrets/key-name.ts";
import { delegatedRights, hasEnded, holdsScope, keyScopes, sortedScopes } from "../../../src/domain/secrets/key-scopes.ts";
import type { KeyRights, KeyScope } from "../../../src/domain/secrets/key-scopes.ts";

test("every scope holds read, and no other one", () => {
  for (const scope of keyScopes)
    expect(keyScopes.filter((other) => holdsScope([scope], other))).toEqual(scope === "read" ? ["read"] : ["read", scope]);
});

test("scopes are shown once each, in one order", () => {
  expect(sortedScopes(["admin", "read", "admin", "watch"])).toEqual(["read", "watch", "admin"]);
});

test("a key ends at its end", () => {
  expect([null, 999, 1000, 1001].map((expiresAtMs) => hasEnded({ expiresAtMs }, 1000))).toEqual([false, true, true, false]);
});

const scope = (name: KeyScope) => ({ kind: "beyond", right: { kind: "scope", scope: name } });
const rights = (scopes: readonly KeyScope[], expiresAtMs: number | null) => ({ kind: "rights", scopes, expiresAtMs });

describe("a key that another one creates", () => {
  const all: KeyRights = { scopes: keyScopes, expiresAtMs: null };
  const admin: KeyRights = { scopes: ["admin"], expiresAtMs: null };
  const brief: KeyRights = { scopes: ["watch", "admin"], expiresAtMs: 1000 };
  const end = { kind: "beyond", right: { kind: "end", expiresAtMs: 1000 } };

  test.each<[string, KeyRights, Parameters<typeof delegatedRights>[1], object]>([
    ["has the rights of that one", brief, {}, rights(["watch", "admin"], 1000)],
    ["may have fewer scopes", all, { scopes: ["watch", "read"] }, rights(["read", "watch"], null)],
    ["may read, as every scope does", admin, { scopes: ["read"] }, rights(["read"], null)],
    ["may not have more scopes", admin, { scopes: ["admin", "place"] }, scope("place")],
    ["may end earlier", brief, { expiresAtMs: 999 }, rights(["watch", "admin"], 999)],
    ["may end at the same time", brief, { expiresAtMs: 1000 }, rights(["watch", "admin"], 1000)],
    ["may not end later", brief, { expiresAtMs: 1001 }, end],
    ["may not be without an end", brief, { expiresAtMs: null }, end],
    ["may end if that one does not", all, { expiresAtMs: 5 }, rights(keyScopes, 5)],
    ["may be without an end if that one is", all, { expiresAtMs: null }, rights(keyScopes, null)],
  ])("%s", (_, own, asked, expected) => {
    expect(delegatedRights(own, asked)).toEqual(expected);
  });
});

test.each([
  ["crm", true],
  ["Ä key of ours", true],
  ["x".repeat(100), true],
  ["", false],
  [" crm", false],
  ["x".repeat(101), false],
  ["a\nb", false],
  ["environment", false],
])("%j is a name: %s", (name, isName) => {
  expect(keyNameFault(name) === null).toBe(isName);
});

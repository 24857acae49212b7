import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeWhere, sameWhere, whereFromJson, whereHolds, whereToJson } from "../../../src/domain/events/where.ts";
import type { WhereTest } from "../../../src/domain/events/where.ts";
import { callEvent } from "../../harness/events.ts";

const { data } = callEvent({
  source: "crm",
  status: "failure",
  reason: "busy: line 2",
  metadata: { team: "north", empty: "", constructor: "own" },
});
const unknown = callEvent({ source: "crm", status: null, reason: "", metadata: {} }).data;

test.each<[Record<string, WhereTest>, boolean, boolean]>([
  [{ source: "crm" }, true, true],
  [{ source: "CRM" }, false, false],
  [{ status: "failure" }, true, false],
  [{ status: "" }, false, true],
  [{ status: { in: ["success", "failure"] } }, true, false],
  [{ status: { in: ["success", ""] } }, false, true],
  [{ reason: { prefix: "busy" } }, true, false],
  [{ reason: { prefix: "" } }, true, true],
  [{ reason: { not: "" } }, true, false],
  [{ "metadata.team": "north" }, true, false],
  [{ "metadata.team": { not: "north" } }, false, true],
  [{ "metadata.empty": "" }, true, true],
  [{ "metadata.absent": "" }, true, true],
  [{ "metadata.toString": "" }, true, true],
  [{ "metadata.constructor": "own" }, true, false],
  [{ status: "failure", source: "other" }, false, false],
  [{ status: "failure", source: "crm" }, true, false],
  [{}, true, true],
])("%j", (where, holds, holdsOfUnknown) => {
  const terms = whereFromJson(where);
  expect([whereHolds(terms, data), whereHolds(terms, unknown)]).toEqual([holds, holdsOfUnknown]);
});

const testOf: fc.Arbitrary<WhereTest> = fc.oneof(
  fc.string(),
  fc.record({ in: fc.array(fc.string(), { minLength: 1 }) }),
  fc.record({ prefix: fc.string() }),
  fc.record({ not: fc.string() }),
);

describe("a condition", () => {
  test("is shown as it was given", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom("source", "status", "metadata.a", "metadata.b"), testOf, { minKeys: 1 }), (where) => {
        expect(whereToJson(whereFromJson(where))).toEqual(where);
      }),
    );
    expect(whereToJson([])).toBeNull();
  });

  test("is the same in any order, and another one with another text", () => {
    const terms = whereFromJson({ source: "a", status: { in: ["x", "y", "x"] } });
    expect(sameWhere(terms, whereFromJson({ status: { in: ["y", "x"] }, source: "a" }))).toBe(true);
    expect(sameWhere(terms, whereFromJson({ status: { in: ["y"] }, source: "a" }))).toBe(false);
    expect(sameWhere(whereFromJson({ status: "x" }), whereFromJson({ status: { not: "x" } }))).toBe(false);
    expect(sameWhere(terms, [])).toBe(false);
  });

  test("in words", () => {
    expect(describeWhere({ status: { in: ["a", "b"] }, reason: { not: "" } })).toBe('status is one of "a", "b" and reason is not ""');
  });
});

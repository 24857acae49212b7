import fc from "fast-check";
import { expect, test } from "vitest";
import { parseTraceparent, traceIdOf, traceparentOf } from "../../../src/domain/webhooks/trace-context.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parentId = "00f067aa0ba902b7";
const header = `00-${traceId}-${parentId}-01`;

test.each([
  [header, header],
  [`00-${traceId}-${parentId}-00`, `00-${traceId}-${parentId}-00`],
  [`00-${traceId}-${parentId}-ff`, header],
  [`00-${traceId}-${parentId}-02`, `00-${traceId}-${parentId}-00`],
  [`cc-${traceId}-${parentId}-01`, header],
  [`cc-${traceId}-${parentId}-01-what-comes`, header],
  [`${header}-more`, null],
  [`${header}-`, null],
  [`cc-${traceId}-${parentId}-01.more`, null],
  [`ff-${traceId}-${parentId}-01`, null],
  [`00-${"0".repeat(32)}-${parentId}-01`, null],
  [`00-${traceId}-${"0".repeat(16)}-01`, null],
  [`00-${traceId.toUpperCase()}-${parentId}-01`, null],
  [`00-${traceId.slice(1)}-${parentId}-01`, null],
  [`00-${traceId}-${parentId}`, null],
  [` ${header}`, null],
  [`${header}, ${header}`, null],
  ["", null],
  [undefined, null],
])("%j is read as %j", (given, trace) => {
  expect(parseTraceparent(given)).toBe(trace);
});

test("the span of an attempt is in the same trace, with the same sampling", () => {
  expect(traceIdOf(header)).toBe(traceId);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.constantFrom("00", "01"), (spanId, flags) => {
      fc.pre(spanId.some((byte) => byte !== 0));
      const child = traceparentOf(`00-${traceId}-${parentId}-${flags}`, spanId);
      expect(parseTraceparent(child)).toBe(child);
      expect([traceIdOf(child), child.slice(-2)]).toEqual([traceId, flags]);
      expect(child.split("-")[2]).toBe(Buffer.from(spanId).toString("hex"));
    }),
  );
});

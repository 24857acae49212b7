import fc from "fast-check";
import { expect, test } from "vitest";
import { findHeaderFaults } from "../../../src/domain/webhooks/custom-headers.ts";

const notOurs = "is set by the service or the connection and cannot be given";

test.each([
  {},
  { "x-api-key": "secret" },
  { Authorization: "Bearer a.b-c" },
  { "x-empty": "" },
  { "X-Odd!#$%&'*+-.^_`|~": 'a "quoted" value; with=anything' },
  { hostname: "h", contents: "c", webhookx: "w", ce: "e", tea: "t", cookies: "c", proxy: "p" },
  Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`x-${n}`, "v"])),
  { "x-a": "a".repeat(4093) },
])("takes %j", (headers) => {
  expect(findHeaderFaults(headers)).toEqual([]);
});

test.each([
  "host",
  "content-type",
  "content-length",
  "content-anything",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "proxy-authorization",
  "proxy-x",
  "user-agent",
  "cookie",
  "ce-id",
  "ce-myextension",
  "webhook-id",
  "webhook-signature",
])("refuses %s in every spelling", (name) => {
  for (const spelling of [name, name.toUpperCase(), name.replace(/^./, (first) => first.toUpperCase())])
    expect(findHeaderFaults({ [spelling]: "v" })).toEqual([{ name: spelling, detail: notOurs }]);
});

test.each(["", " ", "x api", "x-api:", "x\r\ny", "x\u0000", "ü", "(x)", "x/y", "x=y", '"x"', "x,y", "x@y"])(
  "refuses the name %j",
  (name) => {
    expect(findHeaderFaults({ [name]: "v" })).toEqual([{ name, detail: "is not a header name" }]);
  },
);

test.each(["a\r\nx-injected: 1", "a\n", "a\r", "a\u0000", "a\tb", "a\u007f", " a", "a ", "ü", "\u20ac", "\ud83d\ude00", "\u0085"])(
  "refuses the value %j",
  (value) => {
    expect(findHeaderFaults({ "x-a": value })).toEqual([{ name: "x-a", detail: expect.stringContaining("visible ASCII") }]);
  },
);

test("names that differ only in case are given twice", () => {
  expect(findHeaderFaults({ "X-Api-Key": "a", "x-api-key": "b", "x-api-KEY": "c" })).toEqual([
    { name: "x-api-key", detail: "is given twice" },
    { name: "x-api-KEY", detail: "is given twice" },
  ]);
});

test("at most 20, and 4 KiB of names and values together", () => {
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`x-${n}`, "v"]));
  expect(findHeaderFaults(many)).toEqual([{ name: null, detail: "must be at most 20 headers" }]);
  expect(findHeaderFaults({ "x-a": "a".repeat(4094) })).toEqual([{ name: null, detail: "must be at most 4096 bytes together" }]);
});

test("every fault is named, never a value", () => {
  const faults = findHeaderFaults({ host: "s3cret\n", "x y": "s3cret\u0000", "x-ok": "s3cret" });
  expect(faults.map(({ name }) => name)).toEqual(["host", "host", "x y", "x y"]);
  expect(JSON.stringify(faults)).not.toContain("s3cret");
});

test("what is taken can be sent: no name or value breaks a head", () => {
  const nearlyToken = fc.string({ unit: fc.constantFrom(..."aAzZ09-_!~", " ", ":", "\u0000", "ü"), minLength: 1, maxLength: 3 });
  const nearlyVisible = fc.string({ unit: fc.constantFrom(...'aZ09 ~"', "\t", "\n", "\u007f", "ü"), maxLength: 3 });
  const headers = fc.dictionary(nearlyToken, nearlyVisible, { maxKeys: 3 });
  fc.assert(
    fc.property(headers, (given) => {
      if (findHeaderFaults(given).length > 0) return;
      expect([...new Headers(given)]).toHaveLength(Object.keys(given).length);
    }),
    { numRuns: 500 },
  );
});

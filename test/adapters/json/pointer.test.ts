import fc from "fast-check";
import { expect, test } from "vitest";
import { parsePointer, pointerText, valueAt } from "../../../src/adapters/json/pointer.ts";

/** The document of RFC 6901 section 5. */
const document: unknown = JSON.parse(
  String.raw`{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`,
);

test.each<[pointer: string, value: unknown]>([
  ["", document],
  ["/foo", ["bar", "baz"]],
  ["/foo/0", "bar"],
  ["/", 0],
  ["/a~1b", 1],
  ["/c%d", 2],
  ["/e^f", 3],
  ["/g|h", 4],
  [String.raw`/i\j`, 5],
  ['/k"l', 6],
  ["/ ", 7],
  ["/m~0n", 8],
])("RFC 6901 section 5: %j", (text, value) => {
  expect(valueAt(document, parsePointer(text) ?? [""])).toEqual(value);
});

test("~01 is ~1, and not a slash", () => {
  expect(valueAt({ "~1": "tilde", "/": "slash" }, parsePointer("/~01") ?? [])).toBe("tilde");
});

test.each(["foo", "/~", "/~2", "/a~", "#/foo", " /foo"])("%j is no pointer", (text) => {
  expect(parsePointer(text)).toBeNull();
});

test.each(["/foo/2", "/foo/00", "/foo/-", "/foo/length", "/foo/1e0", "/a/b", "/foo/0/0", "/toString", "/__proto__", "/foo/at"])(
  "%j leads to nothing",
  (text) => {
    expect(valueAt(document, parsePointer(text) ?? [])).toBeUndefined();
  },
);

test("a pointer that was written is read as it was", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (tokens) => {
      expect(parsePointer(pointerText(tokens))).toEqual(tokens);
    }),
  );
});

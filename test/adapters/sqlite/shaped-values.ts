import fc from "fast-check";
import type { AnyFields, AnyShape } from "../../../src/adapters/sqlite/messages/shape.ts";

/** Texts of every kind that JavaScript has: any characters, halves of surrogate pairs, and names with a meaning of their own. */
const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.array(fc.integer({ min: 0xd700, max: 0xe000 }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
  fc.constantFrom("__proto__", "constructor", "\0", ""),
);
const numbers = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), fc.constantFrom(-0, Number.NaN, Infinity));
/** Bytes with a buffer of their own, in a pool, and in the middle of a larger buffer. */
const bytes = fc
  .uint8Array({ maxLength: 8 })
  .chain((all) => fc.constantFrom<Uint8Array>(all, Buffer.from(all), new Uint8Array([1, ...all, 2]).subarray(1, all.length + 1)));

const record = (fields: AnyFields) => {
  const values = Object.fromEntries(Object.entries(fields).map(([key, shape]) => [key, arbitraryOf(shape)]));
  return { values, all: fc.record(values, { noNullPrototype: true }) };
};

/** Returns the values that have the shape. */
export function arbitraryOf(shape: AnyShape): fc.Arbitrary<unknown> {
  switch (shape.node) {
    case "leaf":
      return { string: texts, number: numbers, boolean: fc.boolean() }[shape.is];
    case "bytes":
      return bytes;
    case "nothing":
      return fc.constant(undefined);
    case "nullable":
      return fc.option(arbitraryOf(shape.of), { nil: null, freq: 2 });
    case "list":
      return fc.array(arbitraryOf(shape.of), { maxLength: 3 });
    case "map":
      return fc.array(fc.tuple(texts, arbitraryOf(shape.of)), { maxLength: 3 }).map((entries) => Object.fromEntries(entries));
    case "shared":
      return arbitraryOf(shape.of);
    case "tuple":
      return fc.tuple(...shape.parts.map(arbitraryOf));
    case "object":
    case "part":
      return record(shape.fields).all;
    case "patch":
      return fc.record(record(shape.fields).values, { requiredKeys: [], noNullPrototype: true });
    case "kinds":
      return fc.oneof(...Object.entries(shape.variants).map(([kind, fields]) => record(fields).all.map((value) => ({ kind, ...value }))));
    case "either":
      return fc.oneof(arbitraryOf(shape.withKey), arbitraryOf(shape.withoutKey));
  }
}

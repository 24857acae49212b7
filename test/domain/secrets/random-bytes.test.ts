import { expect, test } from "vitest";
import { drawBytes, drawFraction } from "../../../src/domain/secrets/random-bytes.ts";

test("no two draws are alike, across as many portions as it takes", () => {
  const drawn = Array.from({ length: 5000 }, () => drawBytes(12).toString("hex"));
  expect(new Set(drawn).size).toBe(5000);
  expect(drawn.every((hex) => hex.length === 24 && !/^0+$/.test(hex))).toBe(true);
});

test("what was drawn stays as it is while others draw", () => {
  const drawn = drawBytes(24);
  const before = drawn.toString("hex");
  for (let round = 0; round < 1000; round++) drawBytes(24);
  expect(drawn.toString("hex")).toBe(before);
});

test("fractions take every of their 256 values, none at or past 1", () => {
  const drawn = Array.from({ length: 20_000 }, drawFraction);
  expect(new Set(drawn).size).toBe(256);
  expect(Math.max(...drawn)).toBeLessThan(1);
  expect(Math.min(...drawn)).toBe(0);
});

test("a draw larger than a portion is refused, not cut short", () => {
  expect(() => drawBytes(8193)).toThrow("8192");
});

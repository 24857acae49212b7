import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseHttpDate, parseRetryAfter, retryAfterMaxMs } from "../../../src/domain/deliveries/retry-after.ts";

const nowMs = Date.UTC(2026, 10, 24, 12);
const inTenSeconds = nowMs + 10_000;

describe("parseRetryAfter", () => {
  test.each<[value: string, expectedMs: number]>([
    ["0", 0],
    ["000000000", 0],
    [" 0\t", 0],
    ["1", 1000],
    ["120", 120_000],
    ["000000120", 120_000],
    [" \t120\t ", 120_000],
    ["86400", retryAfterMaxMs],
    ["86401", retryAfterMaxMs],
    ["999999999", retryAfterMaxMs],
    ["Tue, 24 Nov 2026 12:00:10 GMT", 10_000],
    ["Tuesday, 24-Nov-26 12:00:10 GMT", 10_000],
    ["Tue Nov 24 12:00:10 2026", 10_000],
    ["Wed, 01 Dec 2027 00:00:00 GMT", retryAfterMaxMs],
  ])("%j waits %i ms", (value, expectedMs) => {
    expect(parseRetryAfter(value, nowMs)).toBe(expectedMs);
  });

  test.each([
    ["nothing", ""],
    ["only spaces", "   "],
    ["a signed zero", "-0"],
    ["ten zeros", "0000000000"],
    ["a fraction of zero", "0.0"],
    ["negative", "-5"],
    ["signed", "+5"],
    ["fractional", "1.5"],
    ["exponential", "1e3"],
    ["hexadecimal", "0x10"],
    ["an epoch of ten digits", "1795643237"],
    ["eleven digits", "12345678901"],
    ["a unit", "5s"],
    ["two values in one", "5, 10"],
    ["digits of another script", "\u0665"],
    ["a space that is none in HTTP", "\u00a05"],
    ["now", "Tue, 24 Nov 2026 12:00:00 GMT"],
    ["the past", "Tue, 24 Nov 2026 11:59:59 GMT"],
    ["another zone", "Tue, 24 Nov 2026 12:00:10 UTC"],
    ["a numeric zone", "Tue, 24 Nov 2026 12:00:10 +0000"],
    ["ISO 8601", "2026-11-24T12:00:10Z"],
    ["no weekday", "24 Nov 2026 12:00:10 GMT"],
    ["another case", "tue, 24 nov 2026 12:00:10 gmt"],
    ["one-digit day", "Tue, 4 Dec 2026 12:00:10 GMT"],
    ["an unknown month", "Tue, 24 Foo 2027 12:00:10 GMT"],
    ["day 0", "Tue, 00 Dec 2026 12:00:10 GMT"],
    ["31 February", "Tue, 31 Feb 2027 12:00:10 GMT"],
    ["31 February with a leap second", "Tue, 31 Feb 2027 23:59:60 GMT"],
    ["hour 24", "Tue, 25 Nov 2026 24:00:00 GMT"],
    ["minute 60", "Tue, 25 Nov 2026 12:60:00 GMT"],
    ["second 61", "Tue, 25 Nov 2026 12:00:61 GMT"],
  ])("counts as absent: %s", (_, value) => {
    expect(parseRetryAfter(value, nowMs)).toBeNull();
  });

  test("counts as absent: no header", () => {
    expect(parseRetryAfter(null, nowMs)).toBeNull();
    expect(parseRetryAfter(undefined, nowMs)).toBeNull();
  });

  test("any value of the header is either absent or between 0 and 24 h", () => {
    const hostile = fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), fc.stringMatching(/^[-+. \d,:A-Za-z]{0,70}$/));
    fc.assert(
      fc.property(hostile, (value) => {
        const waitMs = parseRetryAfter(value, nowMs);
        expect(waitMs === null || (waitMs >= 0 && waitMs <= retryAfterMaxMs)).toBe(true);
      }),
    );
  });

  test.each(["1", " ", "Mon, ", "\t1"])("a megabyte of %j is refused unread", (filler) => {
    expect(parseRetryAfter(filler.repeat(1_000_000), nowMs)).toBeNull();
  });
});

describe("parseHttpDate", () => {
  // RFC 9110 §5.6.7 writes one instant in the three forms.
  test.each(["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])("%s", (text) => {
    expect(parseHttpDate(text, nowMs)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37));
  });

  test("reads what toUTCString writes", () => {
    const seconds = fc.integer({ min: Date.UTC(1970, 0) / 1000, max: Date.UTC(2200, 0) / 1000 });
    fc.assert(
      fc.property(seconds, (atSeconds) => {
        expect(parseHttpDate(new Date(atSeconds * 1000).toUTCString(), nowMs)).toBe(atSeconds * 1000);
      }),
    );
  });

  test("a leap second is the first of the next minute", () => {
    expect(parseHttpDate("Sat, 31 Dec 2016 23:59:60 GMT", nowMs)).toBe(Date.UTC(2017, 0));
  });

  test.each<[text: string, nowMs: number, expectedYear: number]>([
    ["Tuesday, 24-Nov-76 11:59:59 GMT", nowMs, 2076],
    ["Tuesday, 24-Nov-76 12:00:01 GMT", nowMs, 1976],
    ["Thursday, 24-Nov-77 12:00:10 GMT", nowMs, 1977],
    ["Friday, 01-Jan-00 00:00:10 GMT", Date.UTC(2099, 11, 31, 23, 59), 2100],
  ])("two digits more than 50 years ahead are the past: %s", (text, at, expectedYear) => {
    expect(new Date(parseHttpDate(text, at) ?? Number.NaN).getUTCFullYear()).toBe(expectedYear);
  });

  test("the short forms hold exactly one instant", () => {
    expect(parseHttpDate("Tue Nov 24 12:00:10 2026", nowMs)).toBe(inTenSeconds);
    expect(parseHttpDate("Tue Nov  0 12:00:10 2026", nowMs)).toBeNull();
  });
});

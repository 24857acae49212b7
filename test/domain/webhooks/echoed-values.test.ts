import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hideEchoes } from "../../../src/domain/webhooks/echoed-values.ts";

const secret = "s3cret-token/with+signs=";

describe("what a receiver repeats of an endpoint's headers is hidden", () => {
  test.each([
    ["alone", secret, [secret], "[header value]"],
    ["in a sentence", `wrong key ${secret}, try again`, [secret], "wrong key [header value], try again"],
    ["twice", `${secret} ${secret}`, [secret], "[header value] [header value]"],
    ["without its scheme", "token s3cret-token refused", ["Bearer s3cret-token"], "token [header value] refused"],
    ["with its scheme", "Bearer s3cret-token refused", ["Bearer s3cret-token"], "[header value] refused"],
    ["a parameter of it", 'unknown key "k-12345678"', ['Custom id="k-12345678", v="1"'], 'unknown key "[header value]"'],
    ["as JSON writes it", JSON.stringify({ h: 'a "quoted" value' }), ['a "quoted" value'], '{"h":"[header value]"}'],
    ["as a URL writes it", `/?k=${encodeURIComponent(secret)}`, [secret], "/?k=[header value]"],
    ["cut at the end", "the header was s3cret-tok", [secret], "the header was [header value]"],
    ["one value within another", "12345678-abcdefgh", ["12345678", "12345678-abcdefgh"], "[header value]"],
    ["but not a short one", "version 1 of 2", ["1", "2"], "version 1 of 2"],
    ["but nothing else", "not found", [secret], "not found"],
    ["but nothing without headers", `wrong key ${secret}`, [], `wrong key ${secret}`],
    ["but not in nothing", "", [secret], ""],
  ])("%s", (_name, text, values, hidden) => expect(hideEchoes(text, values)).toBe(hidden));

  test("wherever it stands", () => {
    const value = fc.stringMatching(/^[!-~]{8,40}$/).filter((text) => !"[header value]".includes(text));
    fc.assert(
      fc.property(fc.string(), value, fc.string(), (before, given, after) => {
        expect(hideEchoes(`${before}${given}${after}`, [given])).not.toContain(given);
      }),
    );
  });
});

import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSecretBox, generateEncryptionKey, parseEncryptionKeys } from "../../../src/adapters/sealing/secret-box.ts";
import { RingbackError } from "../../../src/domain/errors.ts";

const [older, newer, stranger] = [randomBytes(32), randomBytes(32), randomBytes(32)];
const box = createSecretBox([newer, older]);
const text = fc.string({ unit: "grapheme", maxLength: 300 });
/** Returns a view on a larger buffer, as a store may return. */
const asStored = (sealed: Uint8Array): Uint8Array => new Uint8Array([0, ...sealed, 0]).subarray(1, sealed.length + 1);

/** Returns the id of a key, which is the prefix of its fingerprints. */
function keyIdOf(key: Buffer): string {
  return createSecretBox([key]).fingerprints("")[0]?.split(":")[0] ?? "";
}

function fault(run: () => unknown): RingbackError {
  try {
    run();
  } catch (error) {
    if (error instanceof RingbackError) return error;
    throw error;
  }
  throw new Error("it opened");
}

describe("sealing for other instances", () => {
  const [olderId, newerId, strangerId] = [older, newer, stranger].map(keyIdOf) as [string, string, string];

  test.each([
    { others: [], sealer: newerId },
    { others: [[newerId, olderId]], sealer: newerId },
    { others: [[newerId, olderId], [olderId]], sealer: olderId },
    { others: [[olderId, strangerId], [olderId]], sealer: olderId },
    { others: [[strangerId]], sealer: newerId },
  ])("the first key that all have seals and leads: $others", ({ others, sealer }) => {
    const mine = createSecretBox([newer, older]);
    mine.sealFor(others);
    expect(Buffer.from(mine.seal("secret", "row")).subarray(0, 8).toString("hex")).toBe(sealer);
    expect(mine.fingerprints("secret")[0]).toMatch(new RegExp(`^${sealer}:`));
    expect(mine.fingerprints("secret").toSorted()).toEqual(box.fingerprints("secret").toSorted());
    expect(mine.open(mine.seal("secret", "row"), "row")).toBe("secret");
  });
});

describe("sealing", () => {
  test("a sealed value opens for the same row", () => {
    fc.assert(
      fc.property(text, text, (plaintext, identity) => {
        expect(box.open(asStored(box.seal(plaintext, identity)), identity)).toBe(plaintext);
      }),
    );
  });

  test("a sealed value does not open for another row", () => {
    fc.assert(
      fc.property(text, text, text, (plaintext, identity, other) => {
        fc.pre(identity !== other);
        expect(fault(() => box.open(box.seal(plaintext, identity), other)).code).toBe("secret-unreadable");
      }),
    );
  });

  test("a change of any byte and any truncation is detected", () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.integer({ min: 1, max: 255 }), (plaintext, place, change) => {
        const sealed = box.seal(plaintext, "ep_1");
        const index = place % sealed.length;
        const changed = sealed.with(index, (sealed[index] ?? 0) ^ change);
        expect(fault(() => box.open(changed, "ep_1")).code).toBe("secret-unreadable");
        expect(fault(() => box.open(sealed.subarray(0, index), "ep_1")).code).toBe("secret-unreadable");
      }),
    );
  });

  test("equal values are sealed differently and do not show", () => {
    const plaintext = "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=";
    const [first, second] = [box.seal(plaintext, "ep_1"), box.seal(plaintext, "ep_1")];
    expect(Buffer.from(first).equals(second)).toBe(false);
    expect(Buffer.from(first).includes(plaintext.slice(0, 6))).toBe(false);
  });
});

describe("several keys", () => {
  test("the first seals, all open", () => {
    const before = createSecretBox([older]);
    expect(box.open(before.seal("kept", "ep_1"), "ep_1")).toBe("kept");
    expect(fault(() => before.open(box.seal("new", "ep_1"), "ep_1")).message).toContain(keyIdOf(newer));
  });

  test("an error for an unknown key names its id, not the key or the secret", () => {
    const plaintext = "a very secret value";
    const error = fault(() => box.open(createSecretBox([stranger]).seal(plaintext, "ep_1"), "ep_1"));
    expect(error.code).toBe("secret-unreadable");
    expect(error.message).toContain(keyIdOf(stranger));
    expect(error.message).not.toContain(plaintext);
    expect(error.message).not.toContain(stranger.toString("base64"));
  });

  test("an id is short and reveals nothing of its key", () => {
    expect(keyIdOf(newer)).toMatch(/^[0-9a-f]{16}$/);
    expect(newer.toString("hex")).not.toContain(keyIdOf(newer));
    expect(keyIdOf(newer)).not.toBe(keyIdOf(older));
    expect(box.keyIds).toEqual([keyIdOf(newer), keyIdOf(older)]);
    expect(Buffer.from(box.seal("", "")).toString("hex").slice(0, 16)).toBe(keyIdOf(newer));
  });
});

describe("fingerprints", () => {
  test("equal for equal values, also with other keys configured", () => {
    fc.assert(
      fc.property(text, (value) => {
        const [current, previous] = box.fingerprints(value);
        expect(createSecretBox([newer]).fingerprints(value)).toEqual([current]);
        expect(createSecretBox([older]).fingerprints(value)).toEqual([previous]);
        expect(current?.startsWith(`${keyIdOf(newer)}:`)).toBe(true);
      }),
    );
  });

  test("different for different values and different keys", () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        fc.pre(one !== other);
        expect(new Set([...box.fingerprints(one), ...box.fingerprints(other)]).size).toBe(4);
      }),
    );
  });
});

describe("keys as the operator writes them", () => {
  test("a generated key is parsed", () => {
    const keys = [generateEncryptionKey(), generateEncryptionKey()];
    const parsed = parseEncryptionKeys(` ${keys.join(" , ")}\n`);
    expect(parsed).toEqual({ kind: "keys", keys: keys.map((key) => Buffer.from(key, "base64")) });
  });

  test.each([
    ["", 1, 1],
    ["hello", 1, 1],
    [`${newer.toString("base64")},`, 2, 2],
    [`${newer.toString("base64")},${randomBytes(31).toString("base64")}`, 2, 2],
    [randomBytes(33).toString("base64"), 1, 1],
    [newer.toString("hex"), 1, 1],
    [`!${newer.toString("base64")}`, 1, 1],
    [`${newer.toString("base64")}AAAA`, 1, 1],
    [newer.toString("base64").replace(/(.{20})/, "$1 "), 1, 1],
  ])("%j is rejected by its position, without its value", (given, place, count) => {
    const parsed = parseEncryptionKeys(given);
    if (parsed.kind !== "invalid") throw new Error("it was taken");
    expect(parsed.detail).toMatch(new RegExp(`^key ${place} of ${count} is not base64 of 32 bytes`));
    for (const part of given.split(",")) if (part !== "") expect(parsed.detail).not.toContain(part);
  });
});

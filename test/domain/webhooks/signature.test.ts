import { createPublicKey, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import {
  generateSecret,
  generateSigningKeyPair,
  hmacKeyOf,
  isSigningSecret,
  signWebhook,
  signingKeyOf,
} from "../../../src/domain/webhooks/signature.ts";

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

function secretOf(bytes: Uint8Array): string {
  return `whsec_${Buffer.from(bytes).toString("base64")}`;
}

/** As a receiver reads `whpk_`: 32 raw bytes. */
function publicKeyOf(whpk: string): KeyObject {
  const x = Buffer.from(whpk.slice("whpk_".length), "base64").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

function headersOf(webhook: { id: string; timestampSeconds: number }, signature: string): Record<string, string> {
  return { "webhook-id": webhook.id, "webhook-timestamp": String(webhook.timestampSeconds), "webhook-signature": signature };
}

describe("v1", () => {
  test("the vector the Standard Webhooks libraries are tested with", () => {
    const webhook = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestampSeconds: 1_614_265_330, body: '{"test": 2432232314}' };
    const hmac = [hmacKeyOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    expect(signWebhook(webhook, { hmac, ed25519: null })).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("the official library verifies every body with every secret", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 64 }), fc.string({ unit: "grapheme" }), (bytes, text) => {
        const secret = secretOf(bytes);
        const webhook = { id: "evt_1", timestampSeconds: nowSeconds(), body: JSON.stringify({ text }) };
        const signature = signWebhook(webhook, { hmac: [hmacKeyOf(secret)], ed25519: null });
        expect(new Webhook(secret).verify(webhook.body, headersOf(webhook, signature))).toEqual({ text });
      }),
    );
  });

  test("both secrets verify while a rotation lasts", () => {
    const [current, older] = [generateSecret(), generateSecret()];
    const webhook = { id: "evt_1", timestampSeconds: nowSeconds(), body: "{}" };
    const signature = signWebhook(webhook, { hmac: [hmacKeyOf(current), hmacKeyOf(older)], ed25519: null });
    expect(signature).toMatch(/^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
    for (const secret of [current, older]) expect(new Webhook(secret).verify("{}", headersOf(webhook, signature))).toEqual({});
  });

  test.each<[name: string, change: (webhook: { id: string; timestampSeconds: number; body: string }) => object]>([
    ["id", () => ({ id: "evt_2" })],
    ["timestamp", ({ timestampSeconds }) => ({ timestampSeconds: timestampSeconds + 1 })],
    ["body", () => ({ body: '{"a": 1}' })],
  ])("another %s does not verify", (_, change) => {
    const secret = generateSecret();
    const sent = { id: "evt_1", timestampSeconds: nowSeconds(), body: '{"a":1}' };
    const signature = signWebhook(sent, { hmac: [hmacKeyOf(secret)], ed25519: null });
    const received = { ...sent, ...change(sent) };
    expect(() => new Webhook(secret).verify(received.body, headersOf(received, signature))).toThrow("No matching signature");
  });
});

describe("v1a", () => {
  const pair = generateSigningKeyPair();
  const keys = { hmac: [hmacKeyOf(generateSecret())], ed25519: signingKeyOf(pair.privateKeyPem) };

  test("stands after v1 and verifies with the public key alone", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (body) => {
        const signature = signWebhook({ id: "evt_1", timestampSeconds: 1_764_000_000, body }, keys);
        const [v1, v1a] = signature.split(" ");
        expect(v1).toMatch(/^v1,/);
        expect(v1a).toMatch(/^v1a,[A-Za-z0-9+/]{86}==$/);
        const signed = Buffer.from(`evt_1.1764000000.${body}`);
        expect(verify(null, signed, publicKeyOf(pair.publicKey), Buffer.from(v1a?.slice(4) ?? "", "base64"))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("the official library finds the v1 beside it", () => {
    const secret = generateSecret();
    const webhook = { id: "evt_1", timestampSeconds: nowSeconds(), body: "{}" };
    const signature = signWebhook(webhook, { ...keys, hmac: [hmacKeyOf(secret)] });
    expect(new Webhook(secret).verify("{}", headersOf(webhook, signature))).toEqual({});
  });

  test("a pair is a PKCS #8 PEM and whpk_ with 32 bytes, new each time", () => {
    expect(pair.privateKeyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(pair.publicKey).toMatch(/^whpk_[A-Za-z0-9+/]{43}=$/);
    expect(generateSigningKeyPair().publicKey).not.toBe(pair.publicKey);
  });
});

describe("secrets", () => {
  test("ours have 24 bytes and are new each time", () => {
    const secret = generateSecret();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
    expect(isSigningSecret(secret)).toBe(true);
    expect(generateSecret()).not.toBe(secret);
  });

  test.each([
    [23, false],
    [24, true],
    [64, true],
    [65, false],
  ])("a client's own of %i bytes: %s", (length, usable) => {
    expect(isSigningSecret(secretOf(Buffer.alloc(length, 0xfe)))).toBe(usable);
  });

  test("a client's own has 24 to 64 bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(isSigningSecret(secretOf(bytes))).toBe(bytes.length >= 24 && bytes.length <= 64);
      }),
    );
  });

  const bytes = Buffer.alloc(25, 0xfb);
  test.each([
    ["nothing", ""],
    ["the prefix alone", "whsec_"],
    ["no prefix", bytes.toString("base64")],
    ["another prefix", `whsk_${bytes.toString("base64")}`],
    ["the prefix in capitals", `WHSEC_${bytes.toString("base64")}`],
    ["base64url", `whsec_${bytes.toString("base64url")}`],
    ["white space around it", ` ${secretOf(bytes)} `],
    ["white space inside", `whsec_${bytes.toString("base64").slice(0, 8)} ${bytes.toString("base64").slice(8)}`],
    ["padding in the middle", `whsec_AA==${bytes.toString("base64")}`],
    ["too much padding", `${secretOf(Buffer.alloc(24))}==`],
    ["a single character too many", `${secretOf(Buffer.alloc(24))}A`],
    ["hexadecimal with a colon", `whsec_${"ab:".repeat(24)}`],
    ["no padding", secretOf(bytes).replaceAll("=", "")],
    ["half of its padding", secretOf(bytes).slice(0, -1)],
    ["bits behind the last byte", secretOf(bytes).replace(/w==$/, "x==")],
    ["bits behind the last but one byte", secretOf(Buffer.alloc(26, 0xfb)).replace(/s=$/, "t=")],
    ["a megabyte", `whsec_${"A".repeat(1_000_000)}`],
  ])("refuses %s", (_, text) => {
    expect(isSigningSecret(text)).toBe(false);
  });

  test("a secret that was stored without padding signs as the padded one", () => {
    const padded = secretOf(bytes);
    expect(hmacKeyOf(padded.replaceAll("=", "")).equals(hmacKeyOf(padded))).toBe(true);
  });
});

import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { findSignatureFault } from "../../../src/cli/receiver/signature-fault.ts";
import type { SignedWebhook } from "../../../src/cli/receiver/signature-fault.ts";
import { generateSecret } from "../../../src/domain/webhooks/signature.ts";

const secret = generateSecret();
const nowMs = Date.UTC(2026, 10, 24, 12);
const body = JSON.stringify({
  type: "call.queued",
  timestamp: "2026-11-24T12:00:00.000Z",
  data: {
    watch_id: "wch_1",
    call_sid: "OUT-1",
    source: "default",
    status: "queued",
    reason: "é",
    sequence: 1,
    metadata: { b: "1", a: "2" },
  },
});

function webhook(changes: Partial<Omit<SignedWebhook, "body">> & { body?: string } = {}, atMs = nowMs): SignedWebhook {
  const signature = new Webhook(secret).sign("evt_1", new Date(atMs), body);
  return { secret, id: "evt_1", timestamp: String(atMs / 1000), signature, ...changes, body: Buffer.from(changes.body ?? body) };
}

const sortedKeys = (text: string) => JSON.stringify(sorted(JSON.parse(text)));
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, child]) => [key, key === "metadata" ? child : sorted(child)]));
}

test.each([
  ["none", webhook()],
  ["none", webhook({ signature: `v1,AAAA v1a,BBBB ${webhook().signature}` })],
  ["missing_header", webhook({ id: "" })],
  ["missing_header", webhook({ signature: "" })],
  ["secret_malformed", webhook({ secret: "whsec_not base64!" })],
  ["secret_malformed", webhook({ secret: "whsec_" })],
  ["signature_malformed", webhook({ signature: "sha256=abc" })],
  ["signature_malformed", webhook({ signature: "v1a,abc" })],
  ["signature_truncated", webhook({ signature: webhook().signature.slice(0, 30) })],
  ["timestamp_malformed", webhook({ timestamp: String(nowMs) })],
  ["timestamp_malformed", webhook({ timestamp: "2026-11-24" })],
  ["clock", webhook({}, nowMs - 301_000)],
  ["clock", webhook({}, nowMs + 301_000)],
  ["none", webhook({}, nowMs - 300_000)],
  ["body_reserialised", webhook({ body: `${body}\n` })],
  ["body_reserialised", webhook({ body: `\uFEFF${body}` })],
  ["body_reserialised", webhook({ body: JSON.stringify(JSON.parse(body), null, 2) })],
  ["body_reserialised", webhook({ body: body.replace("é", "\\u00e9") })],
  ["body_reserialised", webhook({ body: sortedKeys(body) })],
  ["body_reserialised", webhook({ body: JSON.stringify(body) })],
  ["body_truncated", webhook({ body: body.slice(0, -5) })],
  ["body_truncated", webhook({ body: "" })],
  ["wrong_secret", webhook({ secret: generateSecret() })],
  ["wrong_secret", webhook({ id: "evt_2" })],
] as const)("%s", (fault, received) => {
  expect(findSignatureFault(received, nowMs).fault).toBe(fault);
});

test("every input gets an explanation, and a changed body is never taken for the sent one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (changed) => {
      const { fault } = findSignatureFault(webhook({ body: changed }), nowMs);
      expect(fault === "none").toBe(changed === body);
    }),
  );
});

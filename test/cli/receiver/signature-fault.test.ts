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

function webhook(changes: Partial<Omit<SignedWebhook, "body">> & { body?: string | Buffer } = {}, atMs = nowMs): SignedWebhook {
  const signature = new Webhook(secret).sign("evt_1", new Date(atMs), body);
  const received = changes.body ?? body;
  const bytes = typeof received === "string" ? Buffer.from(received) : received;
  return { secret, id: "evt_1", timestamp: String(atMs / 1000), signature, ...changes, body: bytes };
}

/** A body that differs from its misreadings by bytes above 127 alone, and the webhook that was sent with it. */
function foreign(reason: string, change: (sent: string) => string | Buffer): SignedWebhook {
  const sent = body.replace("é", reason);
  return webhook({ signature: new Webhook(secret).sign("evt_1", new Date(nowMs), sent), body: change(sent) });
}
const decoded = (charset: string) => (sent: string) => new TextDecoder(charset).decode(Buffer.from(sent));
const utf16be = (sent: string) => Buffer.from(sent, "utf16le").swap16();

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
  ["body_reserialised", webhook({ body: body.replaceAll("/", "\\/").replaceAll('":', '": ') })],
  ["body_charset", foreign("é", (sent) => Buffer.from(sent).toString("latin1"))],
  ["body_charset", foreign("Zoë – €", decoded("windows-1252"))],
  ["body_charset", foreign("é", (sent) => Buffer.from(sent, "latin1"))],
  ["body_charset", foreign("€", (sent) => Buffer.from(Array.from(sent, (one) => (one === "€" ? 0x80 : one.charCodeAt(0)))))],
  ["body_charset", foreign("é", (sent) => Buffer.from(sent, "utf16le"))],
  ["body_charset", foreign("é", (sent) => Buffer.from(`\uFEFF${sent}`, "utf16le"))],
  ["body_charset", foreign("日本", utf16be)],
  ["body_charset", foreign("é", (sent) => sent.normalize("NFD"))],
  ["body_charset", foreign("e\u0301", (sent) => sent.normalize("NFC"))],
  ["body_charset", foreign("é", (sent) => JSON.stringify(JSON.parse(sent.normalize("NFD")), null, 1))],
  ["body_charset", foreign("é", (sent) => JSON.stringify(JSON.parse(Buffer.from(sent).toString("latin1")), null, 1))],
  ["body_charset", foreign("é", (sent) => sent.replace("é", "\uFFFD"))],
  ["body_truncated", webhook({ body: body.slice(0, -5) })],
  ["body_truncated", webhook({ body: "" })],
  ["wrong_secret", webhook({ secret: generateSecret() })],
  ["wrong_secret", webhook({ id: "evt_2" })],
] as const)("%s", (fault, received) => {
  expect(findSignatureFault(received, nowMs).fault).toBe(fault);
});

test("empty objects that became lists are found, among other keys in another order too", () => {
  const sent = '{"type":"call.queued","data":{"watch_id":"wch_1","metadata":{},"details":{}}}';
  const signature = new Webhook(secret).sign("evt_1", new Date(nowMs), sent);
  const received = sent.replaceAll("{}", "[]").replaceAll(":", ": ");
  expect(findSignatureFault(webhook({ signature, body: received }), nowMs).fault).toBe("body_reserialised");
});

/** Sorts every key, as the encoders of Go and of some templates do. */
function allSorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, child]) => [key, allSorted(child)]));
}

test.each([
  ["standard", body],
  ["five keys of metadata", body.replace('{"b":"1","a":"2"}', '{"e":"1","d":"2","c":"3","b":"4","a":"5"}')],
  ["flat", '{"id":"evt_1","type":"call.queued","call_sid":"OUT-1","sequence":1,"metadata_b":"1","metadata_a":"2","details_a":null}'],
  [
    "operational",
    '{"type":"key.expiring","timestamp":"x","data":{"endpoint_id":null,"delivery_id":null,"hook_ids":[],"watch_id":null,"call_sid":null,"placing_id":null,"key_id":"key_1","source":null,"state":null,"reason":null,"metadata":null,"idempotency_key":null,"observed_at":"x"}}',
  ],
])("keys that were sorted, those of metadata too, are found (%s)", (_name, sent) => {
  const signature = new Webhook(secret).sign("evt_1", new Date(nowMs), sent);
  const received = JSON.stringify(allSorted(JSON.parse(sent)));
  expect(findSignatureFault(webhook({ signature, body: received }), nowMs).fault).toBe("body_reserialised");
});

test("a form that was parsed and written again is found", () => {
  const sent = new URLSearchParams({ id: "evt_1", reason: "a b~c" }).toString();
  const received = sent.replaceAll("+", "%20").replaceAll("%7E", "~");
  const signature = new Webhook(secret).sign("evt_1", new Date(nowMs), sent);
  expect(findSignatureFault(webhook({ signature, body: received }), nowMs).fault).toBe("body_reserialised");
});

test("where nothing fits, a charset is named if the body has characters that one would change", () => {
  const wrong = { secret: generateSecret() };
  expect(findSignatureFault(webhook(wrong), nowMs).detail).toContain("charset");
  expect(findSignatureFault(webhook({ ...wrong, body: body.replace("é", "?") }), nowMs).detail).toContain("charset");
  expect(findSignatureFault(webhook({ ...wrong, body: body.replace("é", "e") }), nowMs).detail).not.toContain("charset");
});

test("every input gets an explanation, and a changed body is never taken for the sent one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (changed) => {
      const { fault } = findSignatureFault(webhook({ body: changed }), nowMs);
      expect(fault === "none").toBe(changed === body);
    }),
  );
});

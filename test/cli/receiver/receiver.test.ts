import { Webhook } from "standardwebhooks";
import { Pool } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { describeDelivery, readWebhook } from "../../../src/cli/receiver/received-webhook.ts";
import { startReceiver } from "../../../src/cli/receiver/receiver.ts";
import type { Delivery, ReceiverOptions } from "../../../src/cli/receiver/receiver.ts";
import { generateSecret, hmacKeyOf, signWebhook } from "../../../src/domain/webhooks/signature.ts";

const secret = generateSecret();
const standard = JSON.stringify({
  type: "call.failure",
  timestamp: "2026-11-23T12:00:03.120Z",
  data: {
    watch_id: "wch_1",
    call_sid: "OUT-1",
    status: "failure",
    previous_status: "calling",
    reason: "busy",
    terminal: true,
    sequence: 3,
    metadata: {},
  },
});

function signed(body: string, key = secret): Record<string, string> {
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const signature = signWebhook({ id: "evt_1", timestampSeconds, body }, { hmac: [hmacKeyOf(key)], ed25519: null });
  return {
    "webhook-id": "evt_1",
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signature,
    "content-type": "application/json",
  };
}

async function receiving(options: ReceiverOptions = {}) {
  const seen: Delivery[] = [];
  const receiver = await startReceiver({ secrets: [secret], onDelivery: (delivery) => seen.push(delivery), ...options });
  const pool = new Pool(receiver.url);
  onTestFinished(async () => {
    await pool.destroy();
    await receiver.close();
  });
  const post = async (body: string, headers: Record<string, string> = signed(body), path = "/hook") => {
    const answer = await pool.request({ path, method: "POST", headers, body });
    await answer.body.dump();
    return answer.statusCode;
  };
  return { receiver, seen, post, pool };
}

test("what our own signature signs, the official library verifies", async () => {
  const { seen, post } = await receiving();
  expect(await post(standard)).toBe(204);
  expect(seen[0]).toMatchObject({ path: "/hook", webhookId: "evt_1", attempt: 1, verification: { kind: "verified" } });
  expect(seen[0]?.body.toString()).toBe(standard);
});

test("any of several secrets may fit", async () => {
  const { seen, post } = await receiving({ secrets: [generateSecret(), secret] });
  await post(standard);
  expect(seen[0]?.verification.kind).toBe("verified");
});

test.each([
  ["a changed body", `${standard} `, signed(standard)],
  ["another secret", standard, signed(standard, generateSecret())],
  ["no headers", standard, {}],
  ["an old timestamp", standard, { ...signed(standard), "webhook-timestamp": "1600000000" }],
])("%s is refused with 401", async (_name, body, headers) => {
  const { seen, post } = await receiving();
  expect(await post(body, headers as Record<string, string>)).toBe(401);
  expect(seen[0]?.verification.kind).toBe("refused");
});

test("without a secret nothing is checked", async () => {
  const { seen, post } = await receiving({ secrets: [] });
  expect(await post(standard, {})).toBe(204);
  expect(seen[0]?.verification).toEqual({ kind: "unchecked" });
});

test("scripted answers come first, and attempts are counted by webhook and path", async () => {
  const { seen, post, pool } = await receiving({
    answers: [500, { statusCode: 429, headers: { "retry-after": "1" } }, "reset"],
  });
  expect(await post(standard)).toBe(500);
  const limited = await pool.request({ path: "/hook", method: "POST", headers: signed(standard), body: standard });
  await limited.body.dump();
  expect([limited.statusCode, limited.headers["retry-after"]]).toEqual([429, "1"]);
  await expect(post(standard)).rejects.toThrow();
  expect(await post(standard)).toBe(204);
  expect(await post(standard, signed(standard), "/other")).toBe(204);
  expect(seen.map((delivery) => delivery.attempt)).toEqual([1, 2, 3, 4, 1]);
});

test("the answer may depend on the delivery", async () => {
  const { post } = await receiving({ answers: ({ path }) => (path === "/gone" ? 410 : null) });
  expect(await post(standard, signed(standard), "/gone")).toBe(410);
  expect(await post(standard)).toBe(204);
});

test("deliveries can be iterated until the receiver closes", async () => {
  const { receiver, post } = await receiving();
  const deliveries = receiver.deliveries();
  await post(standard);
  await post(standard);
  const attempts: number[] = [];
  for await (const delivery of deliveries) {
    attempts.push(delivery.attempt);
    if (attempts.length === 2) await receiver.close();
  }
  expect(attempts).toEqual([1, 2]);
});

test("a body longer than any webhook and another method are refused", async () => {
  const { post, pool } = await receiving();
  expect(await post("x".repeat(1_048_577), {})).toBe(413);
  const answer = await pool.request({ path: "/", method: "GET" });
  await answer.body.dump();
  expect(answer.statusCode).toBe(405);
});

const flat = JSON.stringify({ id: "evt_1", type: "call.queued", call_sid: "OUT-1", status: "queued", previous_status: null, sequence: 1 });
const form = "id=evt_1&type=call.success&call_sid=OUT-1&status=success&previous_status=&reason=&terminal=true&sequence=2";
const cloud = JSON.stringify({ call_sid: "OUT-1", status: "calling", previous_status: "queued", sequence: 2, terminal: false });

test.each([
  ["standard", standard, {}, { type: "call.failure", sequence: 3, previousStatus: "calling", reason: "busy", terminal: true }],
  ["flat", flat, {}, { type: "call.queued", sequence: 1, previousStatus: null, terminal: false }],
  [
    "form",
    form,
    { "content-type": "application/x-www-form-urlencoded" },
    { type: "call.success", sequence: 2, reason: null, terminal: true },
  ],
  ["cloudevents", cloud, { "ce-type": "ai.ringback.call.calling" }, { type: "call.calling", sequence: 2, terminal: false }],
])("a webhook in the %s format is read", async (_name, body, headers, facts) => {
  const { seen, post } = await receiving();
  await post(body, { ...signed(body), ...headers });
  const [delivery] = seen;
  expect(delivery?.verification.kind).toBe("verified");
  expect(readWebhook(delivery!)).toMatchObject({ callSid: "OUT-1", ...facts });
});

test("a delivery is one line, without control characters of others", async () => {
  const { seen, post } = await receiving();
  const body = standard.replace('"busy"', '"busy\\u001b[31m"');
  await post(body);
  await post(body);
  const line = describeDelivery(seen[1]!);
  expect(line).toMatch(
    /^[\d:.]{12} {2}verified {4}call\.failure {4}#3 {2}OUT-1 {2}calling -> failure {2}"busy\\u001b\[31m" \(attempt 2\)$/,
  );
  await post("nonsense", {});
  expect(describeDelivery(seen[2]!)).toMatch(/NOT VERIFIED \(Missing required headers\) {2}8 bytes that are not a webhook of Ringback/);
});

test("the official library is the one that judges", () => {
  expect(() => new Webhook(secret).verify(standard, signed(standard))).not.toThrow();
});

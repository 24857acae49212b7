import { createPublicKey, verify } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import type { Callback } from "../harness/receivers/callbacks.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { minute, second } from "../harness/store-drafts.ts";

const formats = ["standard", "flat", "form", "cloudevents"] as const;
const otherSecret = "whsec_c2VjcmV0LW9mLXNvbWVib2R5LWVsc2UtaGVyZQ==";

/** The official library compares the time of the webhook with the machine's. */
const start = (environment: Readonly<Record<string, string>> = {}) => ServiceWorld.start(environment, { clock: new FakeClock(Date.now()) });

function isSignedWith(secret: string, { headers, body }: Callback): boolean {
  try {
    new Webhook(secret).verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

/** A receiver with the public key alone: `v1a` of Standard Webhooks 1.0.0. */
function isSignedByAccount(publicKey: string, { headers, body }: Callback): boolean {
  const x = Buffer.from(publicKey.replace("whpk_", ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const signatures = (headers["webhook-signature"] ?? "").split(" ").filter((signature) => signature.startsWith("v1a,"));
  return signatures.some((signature) => verify(null, signed, key, Buffer.from(signature.slice("v1a,".length), "base64")));
}

const schemesOf = ({ headers }: Callback) => (headers["webhook-signature"] ?? "").split(" ").map((signature) => signature.split(",")[0]);

const typesAt = (callbacks: readonly Callback[], path: string) =>
  callbacks.filter((callback) => callback.path === path).map(({ body }) => (JSON.parse(body) as { readonly type: string }).type);

function last(callbacks: readonly Callback[]): Callback {
  const callback = callbacks.at(-1);
  if (callback === undefined) throw new Error("nothing came");
  return callback;
}

/** The facts of the only event of a call that has just failed, as `data` has them. */
function factsOf(watch: Json, event: Json): Json {
  const observedAt = (event["data"] as Json)["observed_at"];
  return {
    watch_id: watch["id"],
    call_sid: watch["call_sid"],
    source: "sandbox",
    status: "failure",
    previous_status: "calling",
    reason: "call queueing: max timeout limit exceeded",
    terminal: true,
    sequence: 3,
    observed_at: observedAt,
    observed_after: (event["data"] as Json)["observed_after"],
  };
}

describe.each(formats)("the format %s", (format) => {
  test("has every fact, is signed as sent, and says what it is", async () => {
    const service = await start({ PUBLIC_URL: "https://ringback.example" });
    const receiver = await service.receive();
    const watch = await service.watch(receiver.url(), {
      scenario: "failure",
      format,
      events: ["terminal"],
      metadata: { lead_id: "00Q5g000", note: "naïve — 日本語" },
    });
    await service.pass(9 * second);
    const callback = last(receiver.received);
    const [delivery] = await service.deliveriesOf(`watch_id=${String(watch["id"])}`);
    const event = await service.get(`/v1/events/${delivery?.event_id ?? ""}`);
    const facts = factsOf(watch, event);
    const metadata = { lead_id: "00Q5g000", note: "naïve — 日本語" };
    const flat = {
      id: event["id"],
      type: "call.failure",
      timestamp: facts["observed_at"],
      ...facts,
      metadata_lead_id: metadata.lead_id,
      metadata_note: metadata.note,
    };
    const expected = {
      standard: { type: "call.failure", timestamp: facts["observed_at"], data: { ...facts, metadata, details: {} } },
      flat,
      form: Object.fromEntries(Object.entries(flat).map(([key, value]) => [key, String(value)])),
      cloudevents: { ...facts, metadata, details: {} },
    }[format];
    const sent = format === "form" ? Object.fromEntries(new URLSearchParams(callback.body)) : (JSON.parse(callback.body) as Json);
    expect(sent).toEqual(expected);
    expect(Date.parse(String(facts["observed_after"]))).toBeLessThan(Date.parse(String(facts["observed_at"])));

    expect(isSignedWith(signingSecret, callback)).toBe(true);
    expect(isSignedWith(otherSecret, callback)).toBe(false);
    const { headers } = callback;
    const { attempts } = await service.delivery(delivery?.id ?? "");
    expect(headers).toMatchObject({
      "webhook-id": event["id"],
      "webhook-timestamp": String(Math.floor(Date.parse(attempts[0]?.started_at ?? "") / 1000)),
      "content-type": format === "form" ? "application/x-www-form-urlencoded" : "application/json",
      "user-agent": expect.stringMatching(/^Ringback\/\d+\.\d+\.\d+$/) as string,
      "content-length": String(Buffer.byteLength(callback.body)),
    });
    const context = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("ce-")));
    expect(context).toEqual(
      format !== "cloudevents"
        ? {}
        : {
            "ce-specversion": "1.0",
            "ce-id": event["id"],
            "ce-type": "ai.ringback.call.failure",
            "ce-source": "https://ringback.example/sources/sandbox",
            "ce-subject": watch["call_sid"],
            "ce-time": facts["observed_at"],
          },
    );
  });

  test("stays under 20 kB with everything at its largest, and is signed byte for byte", async () => {
    const simulator = await simulatedUpstream();
    const service = await start({ POLYAI_BASE_URL: simulator.url, POLYAI_AUTH_TOKEN: "token", PUBLIC_URL: "https://ringback.example" });
    const receiver = await service.receive();
    for (const filler of ["\u0001", "😀", "%"]) {
      const callSid = `OUT-${"x".repeat(110)}-${simulator.trigger().slice(4, 20)}`;
      simulator.script(callSid, {
        scenario: [{ atMs: 0, status: filler.repeat(128 / filler.length), reason: filler.repeat(3000) }],
        verbatim: true,
      });
      // 15 pairs of a key of 40 letters and as long a value as 2 KiB allow.
      const value = filler.repeat(Math.floor((2048 - 15 * 40) / 15 / Buffer.byteLength(filler)));
      const metadata = Object.fromEntries(Array.from({ length: 15 }, (_, n) => [`k${n}`.padEnd(40, "_"), value]));
      const before = service.attempts.length;
      const { status, body } = await service.client.post("/v1/watches", {
        call_sid: callSid,
        callback_url: receiver.url(`/${encodeURIComponent(filler)}`),
        signing_secret: signingSecret,
        format,
        metadata,
      });
      expect([status, body["type"]]).toEqual([201, undefined]);
      await service.attempted(before + 1);
      await service.quiet();
      const callback = last(receiver.received);
      expect(callback.path).toBe(`/${encodeURIComponent(filler)}`);
      expect(Buffer.byteLength(callback.body)).toBeLessThan(20_000);
      expect(isSignedWith(signingSecret, callback)).toBe(true);
      if (format !== "form") expect(callback.body).toContain(JSON.stringify(value).slice(1, -1));
      else expect(new URLSearchParams(callback.body).get(`metadata_${"k0".padEnd(40, "_")}`)).toBe(value);
    }
  });
});

test.each(["form", "cloudevents"] as const)("a test event is sent as any other, with every key and no facts: %s", async (format) => {
  const service = await start();
  const receiver = await service.receive(() => ({ status: 200, body: "heard" }));
  const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url(), { format, headers: { "x-key": "k" } });
  const answer = await service.client.post(`/v1/endpoints/${endpointId}/test`);
  expect(answer.body).toMatchObject({ number: 1, status_code: 200, error: null, response_excerpt: "heard", decision: "delivered" });
  const [live, callback] = receiver.received;
  if (live === undefined || callback === undefined) throw new Error("two came");
  expect([isSignedWith(signingSecret, callback), callback.headers["x-key"]]).toEqual([true, "k"]);
  const fieldsOf = ({ body }: Callback): Json =>
    format === "form" ? Object.fromEntries(new URLSearchParams(body)) : (JSON.parse(body) as Json);
  const [ofLive, ofTest] = [fieldsOf(live), fieldsOf(callback)];
  expect(Object.keys(ofTest)).toEqual(Object.keys(ofLive));
  const { data = ofTest, type = callback.headers["ce-type"], timestamp = callback.headers["ce-time"] } = ofTest;
  expect([type, timestamp]).toEqual([
    format === "cloudevents" ? "ai.ringback.endpoint.test" : "endpoint.test",
    new Date(service.clock.nowMs()).toISOString(),
  ]);
  const facts = Object.entries(data as Json).filter(([key]) => !["id", "type", "timestamp", "metadata", "details"].includes(key));
  for (const [, value] of facts) expect(value).toBe(format === "form" ? "" : null);
  expect(callback.headers).not.toHaveProperty("ce-subject");
  expect(await service.get(`/v1/events/${callback.headers["webhook-id"] ?? ""}`)).toMatchObject({ type: "endpoint.test" });
});

describe("a secret's rotation", () => {
  test("signs with both until the grace ends, with the new one alone after it", async () => {
    const service = await start();
    const receiver = await service.receive();
    const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url());
    expect(schemesOf(last(receiver.received))).toEqual(["v1"]);
    const rotated = await service.client.post(`/v1/endpoints/${endpointId}/rotate-secret`, { grace_seconds: 60 });
    const newSecret = String(rotated.body["signing_secret"]);
    expect(rotated.status).toBe(200);
    expect(Date.parse(String(rotated.body["previous_valid_until"]))).toBe(service.clock.nowMs() + minute);
    const again = { signing_secret: undefined };

    await service.firstAttempt(receiver.url(), again);
    const during = last(receiver.received);
    expect(schemesOf(during)).toEqual(["v1", "v1"]);
    expect([isSignedWith(newSecret, during), isSignedWith(signingSecret, during)]).toEqual([true, true]);

    await service.leap(minute - 1);
    await service.firstAttempt(receiver.url(), again);
    expect(schemesOf(last(receiver.received))).toEqual(["v1", "v1"]);
    await service.leap(1);
    await service.firstAttempt(receiver.url(), again);
    const after = last(receiver.received);
    expect(schemesOf(after)).toEqual(["v1"]);
    expect([isSignedWith(newSecret, after), isSignedWith(signingSecret, after)]).toEqual([true, false]);
  });

  test("takes the client's own secret, and without a grace the old one is out at once", async () => {
    const service = await start();
    const receiver = await service.receive();
    const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url());
    const rotated = await service.client.post(`/v1/endpoints/${endpointId}/rotate-secret`, {
      grace_seconds: 0,
      signing_secret: otherSecret,
    });
    expect(rotated.body["signing_secret"]).toBe(otherSecret);
    await service.firstAttempt(receiver.url(), { signing_secret: undefined });
    const after = last(receiver.received);
    expect([isSignedWith(otherSecret, after), isSignedWith(signingSecret, after)]).toEqual([true, false]);
  });

  test("a retry is signed with what holds at that moment", async () => {
    const service = await start();
    const receiver = await service.receive(() => 500);
    const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url());
    await service.client.post(`/v1/endpoints/${endpointId}/rotate-secret`, { grace_seconds: 0, signing_secret: otherSecret });
    await service.client.patch(`/v1/endpoints/${endpointId}`, { format: "flat", headers: { "x-key": "now" } });
    await service.leap(5 * second);
    const [first, again] = receiver.received;
    expect(again?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    expect(again?.headers["x-key"]).toBe("now");
    expect(JSON.parse(again?.body ?? "")).toMatchObject({ type: "call.queued", sequence: 1 });
    expect([isSignedWith(otherSecret, last(receiver.received)), isSignedWith(signingSecret, last(receiver.received))]).toEqual([
      true,
      false,
    ]);
  });
});

describe("whose secret signs", () => {
  test("the one made for the first answer, shown in it and never again", async () => {
    const service = await start();
    const receiver = await service.receive();
    const made = await service.watch(receiver.url(), { signing_secret: undefined });
    const secret = String(made["signing_secret"]);
    expect(Buffer.from(secret.replace("whsec_", ""), "base64")).toHaveLength(24);
    await service.attempted(1);
    await service.quiet();
    expect(isSignedWith(secret, last(receiver.received))).toBe(true);
    expect((await service.watch(receiver.url(), { signing_secret: undefined }))["signing_secret"]).toBeNull();
    expect(await service.get(`/v1/watches/${String(made["id"])}`)).toMatchObject({ signing_secret: null });
    const shown = JSON.stringify([await service.get("/v1/endpoints"), await service.get("/v1/watches"), service.lines]);
    expect(shown).not.toContain(secret.replace("whsec_", ""));
  });

  test("the account's default for endpoints made after it", async () => {
    const service = await start();
    const receiver = await service.receive();
    await service.watch(receiver.url("/before"), { signing_secret: undefined });
    expect((await service.client.put("/v1/me/signing-secret", { signing_secret: otherSecret })).status).toBe(204);
    const after = await service.watch(receiver.url("/after"), { signing_secret: undefined });
    expect(after["signing_secret"]).toBeNull();
    await service.attempted(2);
    await service.quiet();
    const signed = receiver.received.map((callback) => [callback.path, isSignedWith(otherSecret, callback)]);
    expect(signed.toSorted()).toEqual([
      ["/after", true],
      ["/before", false],
    ]);
  });
});

test("v1a verifies with the public key of the account alone, beside a v1 that the official library finds", async () => {
  const service = await start();
  const receiver = await service.receive();
  const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url());
  const me = await service.get("/v1/me");
  const publicKey = String(me["public_key"]);
  expect(publicKey).toMatch(/^whpk_/);
  expect(isSignedByAccount(publicKey, last(receiver.received))).toBe(false);
  await service.client.patch(`/v1/endpoints/${endpointId}`, { signatures: ["v1", "v1a"] });
  await service.client.post(`/v1/endpoints/${endpointId}/rotate-secret`, { grace_seconds: 60 });
  await service.firstAttempt(receiver.url(), { signing_secret: undefined });
  const callback = last(receiver.received);
  expect(schemesOf(callback)).toEqual(["v1", "v1", "v1a"]);
  expect(isSignedByAccount(publicKey, callback)).toBe(true);
  expect(isSignedWith(signingSecret, callback)).toBe(true);
  expect(isSignedByAccount(publicKey, { ...callback, body: `${callback.body} ` })).toBe(false);
  await service.client.patch(`/v1/endpoints/${endpointId}`, { signatures: ["v1"] });
  await service.firstAttempt(receiver.url(), { signing_secret: undefined });
  expect(schemesOf(last(receiver.received))).toEqual(["v1", "v1"]);
});

describe("custom headers", () => {
  const headers = { "X-Api-Key": "s3cret-of-the-gateway", Authorization: "Basic dXNlcjpwYXNz" };

  test("are sent with every webhook, and nowhere shown but by name", async () => {
    const service = await start();
    const receiver = await service.receive();
    const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url(), { headers });
    expect(last(receiver.received).headers).toMatchObject({
      "x-api-key": headers["X-Api-Key"],
      authorization: headers.Authorization,
    });
    expect((await service.client.post(`/v1/endpoints/${endpointId}/test`)).status).toBe(200);
    expect(last(receiver.received).headers).toMatchObject({ "x-api-key": headers["X-Api-Key"] });
    expect(await service.endpoint(endpointId)).toMatchObject({ headers: ["authorization", "x-api-key"] });
    const everything = [];
    for (const path of ["/v1/endpoints", "/v1/watches", "/v1/deliveries", "/v1/events", "/v1/hooks"])
      everything.push(await service.get(path));
    const shown = JSON.stringify([everything, service.lines]);
    for (const value of Object.values(headers)) expect(shown).not.toContain(value);
  });

  test("given again they must agree, and PATCH replaces all of them", async () => {
    const service = await start();
    const receiver = await service.receive();
    const { endpoint_id: endpointId } = await service.firstAttempt(receiver.url(), { headers });
    await service.firstAttempt(receiver.url(), { headers: { authorization: headers.Authorization, "x-api-key": headers["X-Api-Key"] } });
    const differs = await service.client.post("/v1/watches", {
      call_sid: "OUT-sandbox-slow-other",
      source: "sandbox",
      callback_url: receiver.url(),
      headers: { "x-api-key": "another" },
    });
    expect([differs.status, differs.body["type"]]).toEqual([409, "urn:ringback:problem:endpoint-differs"]);
    await service.client.patch(`/v1/endpoints/${endpointId}`, { headers: { "x-other": "1" } });
    await service.firstAttempt(receiver.url());
    expect(last(receiver.received).headers).toMatchObject({ "x-other": "1" });
    expect(last(receiver.received).headers).not.toHaveProperty("x-api-key");
    await service.client.patch(`/v1/endpoints/${endpointId}`, { headers: {} });
    await service.firstAttempt(receiver.url());
    expect(last(receiver.received).headers).not.toHaveProperty("x-other");
  });
});

describe("events filters", () => {
  test.each<[scenario: string, events: readonly string[] | null, ofWatch: readonly string[], ofHook: readonly string[]]>([
    ["success", null, ["call.queued", "call.calling", "call.success"], ["call.queued", "call.calling", "call.success"]],
    ["failure", ["call.failure", "terminal"], ["call.failure"], ["call.failure"]],
    // The endings of a watch pass every filter of it; a hook gets exactly what its filter names.
    ["lost", ["call.success"], ["watch.lost"], []],
    ["not-found", ["watch.not_found"], ["watch.not_found"], ["watch.not_found"]],
  ])("%s with %j: the watch gets %j, the hook %j", async (scenario, events, ofWatch, ofHook) => {
    const service = await start();
    const receiver = await service.receive();
    expect((await service.client.post("/v1/hooks", { url: receiver.url("/hook"), ...(events === null ? {} : { events }) })).status).toBe(
      201,
    );
    const watch = await service.watch(receiver.url("/watch"), { scenario, events });
    await service.pass(15 * second);
    expect(typesAt(receiver.received, "/watch")).toEqual(ofWatch);
    expect(typesAt(receiver.received, "/hook")).toEqual(ofHook);
    // A filter never changes the sequence.
    const all = await service.get<{ data: readonly { data: { sequence: number } }[] }>(`/v1/watches/${String(watch["id"])}/events`);
    expect(all.data.map(({ data }) => data.sequence)).toEqual(all.data.map((_, index) => index + 1));
  });
});

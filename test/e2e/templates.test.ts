import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";

/** The service on a clock that the official library accepts. */
const start = () => ServiceWorld.start({}, { clock: new FakeClock(Date.now()) });

test("what a template is filled with is what the preview shows, byte for byte, and is signed", async () => {
  const service = await start();
  const receiver = await service.receive();
  const json = {
    method: "PATCH",
    body: { lead: "{{data.metadata.lead_id}}", none: "{{data.metadata.none}}", n: "{{data.sequence}}", note: "é {{data.reason}}|{{type}}" },
  };
  const text = { method: "PUT", content_type: "text/plain; charset=utf-8", body: "{{data.call_sid}} – {{data.status}}" };
  const requests = [{ request: json }, { request: text }, { format: "slack" }, { format: "teams" }];
  for (const [index, wish] of requests.entries()) {
    const delivery = await service.firstAttempt(receiver.url(`/${index}`), { ...wish, metadata: { lead_id: '{{type}} "ü\u2028' } });
    const callback = receiver.received.at(-1);
    if (callback === undefined) throw new Error("nothing came");
    const preview = await service.client.post("/v1/templates/preview", { ...wish, event_id: delivery.event_id });
    const { method, content_type: contentType, body } = preview.body;
    expect(callback).toMatchObject({ path: `/${index}`, method, body });
    expect(callback.headers).toMatchObject({ "content-type": contentType, "content-length": String(Buffer.byteLength(callback.body)) });
    expect(() => new Webhook(signingSecret).verify(callback.body, callback.headers, { jsonParse: false })).not.toThrow();
    expect(delivery.status).toBe("delivered");
  }

  // Under a key: a repeat receives the bytes of the first preview, though newer events came; another body is a mismatch.
  const [shown, headers] = [await service.watch(receiver.url("/kept")), { "idempotency-key": "preview-1" }];
  const keyed = (body: object) => service.client.post("/v1/templates/preview", body, headers);
  const first = await keyed({ format: "flat" });
  await service.firstAttempt(receiver.url("/kept"), {});
  const repeat = await keyed({ format: "flat" });
  expect([repeat.text, repeat.headers["idempotency-replayed"]]).toEqual([first.text, "true"]);
  const mismatch = await keyed({ format: "slack" });
  expect([mismatch.status, mismatch.body["type"]]).toEqual([422, "urn:ringback:problem:idempotency-mismatch"]);
  // A refusal leaves the key free, and the purge of the watch erases what was stored of it.
  const eventOf = async (id: unknown) => (await service.client.list<{ readonly id: string }>(`/v1/watches/${String(id)}/events`))[0]?.id;
  const other = { "idempotency-key": "preview-2" };
  const refused = await service.client.post("/v1/templates/preview", { format: "flat", event_id: "evt_none" }, other);
  expect(refused.status).toBe(422);
  const eventId = await eventOf(shown["id"]);
  const stored = await service.client.post("/v1/templates/preview", { format: "flat", event_id: eventId }, other);
  expect([stored.status, stored.headers["idempotency-replayed"]]).toEqual([200, undefined]);
  await service.client.delete(`/v1/watches/${String(shown["id"])}?purge=true`);
  const gone = await service.client.post("/v1/templates/preview", { format: "flat", event_id: eventId }, other);
  expect([gone.status, gone.headers["idempotency-replayed"]]).toEqual([422, undefined]);
  expect(JSON.parse(receiver.received[0]?.body ?? "")).toEqual({ lead: '{{type}} "ü\u2028', none: null, n: 1, note: "é |call.queued" });
  expect(receiver.received[1]?.body).toMatch(/^OUT-sandbox-slow-\d+ – queued$/);

  const { id } = await service.watch(receiver.url("/0"), { request: { ...json, content_type: "application/json" } });
  expect(await service.get(`/v1/watches/${String(id)}`)).toMatchObject({
    format: "template",
    request: { ...json, content_type: "application/json" },
  });
  const differs = await service.client.post("/v1/hooks", { url: receiver.url("/0"), request: { ...json, method: "PUT" } });
  expect([differs.status, differs.body["type"]]).toEqual([409, "urn:ringback:problem:endpoint-differs"]);
  expect(differs.body["detail"]).toContain("different request;");
});

import { describe, expect, test } from "vitest";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { faultsOf, problemOf } from "../harness/service/client.ts";
import type { Client, Json } from "../harness/service/client.ts";
import { startService } from "../harness/service/service.ts";

const place = (client: Client, key: string, body: Json = {}) =>
  client.post(
    "/v1/calls",
    { source: "sandbox", call: { scenario: "success" }, callback_url: "https://crm.example.com/calls", ...body },
    { "idempotency-key": key },
  );

describe.each(["sqlite-memory", "postgres"] as const)("a call of the sandbox (%s)", (database) => {
  test("is placed, watched and answered the same under its key", async () => {
    const { client } = await startService({ database });
    const placed = await place(client, "lead-1", { metadata: { lead: "1" } });
    expect(placed).toMatchObject({
      status: 201,
      body: { source: "sandbox", status: "active", metadata: { lead: "1" }, signing_secret: expect.stringMatching(/^whsec_/) },
    });
    expect(String(placed.body["call_sid"])).toMatch(/^OUT-sandbox-success-/);
    const again = await place(client, "lead-1", { metadata: { lead: "1" } });
    expect([again.status, again.text, again.headers["idempotency-replayed"]]).toEqual([201, placed.text, "true"]);
    expect(problemOf(await place(client, "lead-1"))).toMatchObject({ status: 422, type: "urn:ringback:problem:idempotency-mismatch" });
    expect(await client.list("/v1/placings")).toEqual([
      expect.objectContaining({
        idempotency_key: "lead-1",
        state: "placed",
        call_sid: placed.body["call_sid"],
        watch_id: placed.body["id"],
      }),
    ]);
    expect(await client.list("/v1/placings?state=unknown")).toEqual([]);
  });

  test("is answered with the id alone once its watch is purged", async () => {
    const { client } = await startService({ database });
    const metadata = { lead: "1" };
    const { body } = await place(client, "lead-1", { metadata });
    const placings = () => client.list("/v1/placings");
    expect((await placings()).map((placing) => placing["metadata"])).toEqual([metadata]);
    await client.delete(`/v1/watches/${String(body["id"])}?purge=true`);
    expect((await placings()).map((placing) => [placing["idempotency_key"], placing["metadata"]])).toEqual([["lead-1", {}]]);
    expect(await place(client, "lead-1", { metadata })).toMatchObject({ status: 201, text: JSON.stringify({ id: body["id"] }) });
  });

  test("has faults of its own", async () => {
    const { client } = await startService({ database });
    const without = await client.post("/v1/calls", {
      source: "sandbox",
      call: { scenario: "success" },
      callback_url: "https://crm.example.com/",
    });
    expect(problemOf(without)).toMatchObject({ status: 422, type: "urn:ringback:problem:idempotency-key-required" });
    expect(faultsOf(await place(client, "k", { call: { scenario: "none", to: "1" } }))).toEqual(["/call/to", "/call/scenario"]);
    expect(faultsOf(await place(client, "k", { call: [] }))).toEqual(["/call"]);
    expect(faultsOf(await place(client, "k", { callback_url: undefined }))).toEqual(["/callback_url"]);
    // A refusal frees the key.
    expect((await place(client, "k")).status).toBe(201);
  });
});

test("its life reaches the receiver", async () => {
  const receiver = await collectingReceiver();
  const { client } = await startService();
  expect((await place(client, "k", { callback_url: `${receiver.url}/hook` })).status).toBe(201);
  await expect.poll(() => receiver.deliveries.length, { timeout: 10_000 }).toBeGreaterThan(0);
});

test("a call that nests without end, or has a key that a copy would lose, is refused where it is", async () => {
  const { client } = await startService();
  const place = async (call: string) => {
    const body = `{"source":"sandbox","callback_url":null,"call":${call}}`;
    const answer = await client.post("/v1/calls", body, { "idempotency-key": "odd" });
    return [answer.status, answer.body["detail"]];
  };
  expect(await place(`{"scenario":${"[".repeat(5000)}${"]".repeat(5000)}}`)).toEqual([422, "the body: must be nested at most 128 deep"]);
  expect(await place('{"scenario":"success","__proto__":{}}')).toEqual([422, "/call/__proto__: cannot be a key"]);
  expect(await place('{"scenario":"success","a":{"__proto__":{}}}')).toEqual([422, "/call/a/__proto__: cannot be a key"]);
});

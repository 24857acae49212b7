import { expect, test } from "vitest";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const forEver = (status: string) => [{ atMs: 0, status }];

const draft = (callSid: string, path: string) => ({ call_sid: callSid, callback_url: `http://127.0.0.1:9${path}` });

/** A service with a simulated upstream; its webhooks go to a port without a listener. */
async function watching(environment: Readonly<Record<string, string>> = {}) {
  const simulator = await simulatedUpstream({ adopt: forEver("queued") });
  const world = await ServiceWorld.start({ ...simulator.environment("polyai-legacy"), ...environment });
  const watch = (callSid: string, path = "/") => world.client.post("/v1/watches", draft(callSid, path));
  const batch = async (...drafts: readonly object[]) => {
    const { body } = await world.client.post("/v1/watches/batch", { watches: drafts });
    return (body["results"] as readonly { status: number }[]).map(({ status }) => status);
  };
  return { world, client: world.client, simulator, watch, batch };
}

test("the answer to a watch holds the status of a call polled within the last minute, even if all other watches were deleted", async () => {
  const { world, client, simulator, watch } = await watching();
  const callSid = simulator.trigger({ scenario: forEver("calling") });
  const first = await watch(callSid, "/1");
  const path = `/v1/watches/${String(first.body["id"])}`;
  await world.until(async () => (await client.get(path)).body["sequence"] === 1);
  const second = await watch(callSid, "/2");
  expect(second.body).toMatchObject({ sequence: 1, call: { status: "calling" } });
  simulator.fault({ kind: "status", statusCode: 500 });
  for (const { body } of [first, second]) await client.delete(`/v1/watches/${String(body["id"])}`);
  world.clock.standStill(50_000);
  expect((await watch(callSid, "/3")).body).toMatchObject({ sequence: 1, call: { status: "calling" } });
});

test("a client without a hook says null to read the feed, in a watch, a batch and a call; left out it is refused with both ways", async () => {
  const { client } = await watching();
  const call = { source: "sandbox", call: { scenario: "success" } };
  const [errors, both] = [[{ pointer: "/callback_url" }], expect.stringMatching(/hook.*URL.*null/) as string];
  const missing = { status: 422, body: { errors: errors.map((error) => ({ ...error, detail: both })) } };
  expect(await client.post("/v1/watches", { call_sid: "OUT-1" })).toMatchObject(missing);
  expect(await client.post("/v1/calls", call, { "idempotency-key": "a" })).toMatchObject(missing);
  const batch = await client.post("/v1/watches/batch", { watches: [{ call_sid: "OUT-1" }, { call_sid: "OUT-2", callback_url: null }] });
  expect(batch.body).toMatchObject({
    results: [
      { status: 422, problem: missing.body },
      { status: 201, watch: { callback_url: null } },
    ],
  });
  expect((await client.post("/v1/watches", { call_sid: "OUT-1", callback_url: null })).status).toBe(201);
  expect((await client.post("/v1/calls", { ...call, callback_url: null }, { "idempotency-key": "b" })).status).toBe(201);
  await client.post("/v1/hooks", { url: "http://127.0.0.1:9/hook" });
  expect((await client.post("/v1/watches", { call_sid: "OUT-3" })).status).toBe(201);
  expect((await client.post("/v1/calls", call, { "idempotency-key": "c" })).status).toBe(201);
});

test("a source whose interval would exceed half an hour accepts no new call, but every watch on a call that it polls", async () => {
  // Setup: a poll every 100 s, so that 18 calls take half an hour.
  const { watch, batch } = await watching({ POLYAI_MAX_POLLS_PER_SECOND: "0.01" });
  const drafts = Array.from({ length: 17 }, (_, n) => draft(`OUT-${n}`, "/"));
  expect(new Set(await batch(...drafts))).toEqual(new Set([201]));
  expect(await batch(draft("OUT-17", "/"), draft("OUT-17", "/2"), draft("OUT-18", "/"), draft("OUT-18", "/2"))).toEqual([
    201, 201, 429, 429,
  ]);
  const refused = await watch("OUT-19");
  expect(refused).toMatchObject({ status: 429, body: { type: "urn:ringback:problem:source-saturated" } });
  expect((await watch("OUT-3")).status).toBe(200);
  expect((await watch("OUT-3", "/another")).status).toBe(201);
  expect(await batch(draft("OUT-4", "/another"), draft("OUT-20", "/"))).toEqual([201, 429]);
});

import { expect, test } from "vitest";
import { runningService } from "../harness/clocked-service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const forEver = (status: string) => [{ atMs: 0, status }];

const draft = (callSid: string, path: string) => ({ call_sid: callSid, callback_url: `http://127.0.0.1:9${path}` });

/** A service with a simulated upstream on its clock; nobody listens where its webhooks go. */
async function watching(environment: Readonly<Record<string, string>> = {}) {
  const simulator = await simulatedUpstream({ adopt: forEver("queued") });
  const running = await runningService({ ...simulator.environment("polyai-legacy"), ...environment });
  const watch = (callSid: string, path = "/") => running.client.post("/v1/watches", draft(callSid, path));
  const batch = async (...drafts: readonly object[]) => {
    const { body } = await running.client.post("/v1/watches/batch", { watches: drafts });
    return (body["results"] as readonly { status: number }[]).map(({ status }) => status);
  };
  return { ...running, simulator, watch, batch };
}

test("a watch on a call polled within the last minute is told its status in its own answer, also after all others were deleted", async () => {
  const { client, clock, simulator, watch, until } = await watching();
  const callSid = simulator.trigger({ scenario: forEver("calling") });
  const first = await watch(callSid, "/1");
  const path = `/v1/watches/${String(first.body["id"])}`;
  await until(async () => (await client.get(path)).body["sequence"] === 1);
  const second = await watch(callSid, "/2");
  expect(second.body).toMatchObject({ sequence: 1, call: { status: "calling" } });
  simulator.fault({ kind: "status", statusCode: 500 });
  for (const { body } of [first, second]) await client.delete(`/v1/watches/${String(body["id"])}`);
  clock.standStill(50_000);
  expect((await watch(callSid, "/3")).body).toMatchObject({ sequence: 1, call: { status: "calling" } });
});

test("a source whose interval would pass half an hour takes no new call, but every watch on a call it polls", async () => {
  // Setup: a poll every 100 s, so that 18 calls take half an hour.
  const { watch, batch } = await watching({ POLYAI_MAX_POLLS_PER_SECOND: "0.01" });
  const drafts = Array.from({ length: 17 }, (_, n) => draft(`OUT-${n}`, "/"));
  expect(new Set(await batch(...drafts))).toEqual(new Set([201]));
  expect(await batch(draft("OUT-17", "/"), draft("OUT-17", "/2"), draft("OUT-18", "/"), draft("OUT-18", "/2"))).toEqual([
    201, 201, 429, 429,
  ]);
  const refused = await watch("OUT-19");
  expect(refused).toMatchObject({ statusCode: 429, body: { type: "urn:ringback:problem:source-saturated" } });
  expect((await watch("OUT-3")).statusCode).toBe(200);
  expect((await watch("OUT-3", "/another")).statusCode).toBe(201);
  expect(await batch(draft("OUT-4", "/another"), draft("OUT-20", "/"))).toEqual([201, 429]);
});

import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { ReceiverOptions } from "../../src/cli/receiver/receiver.ts";
import { fastPolling } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Body = Record<string, unknown>;

/** The service between a simulated upstream and a receiver. */
async function world(options: ReceiverOptions = {}) {
  const receiver = await startReceiver(options);
  onTestFinished(() => receiver.close());
  const simulator = await simulatedUpstream();
  const { client } = await startService({ environment: { ...simulator.environment("polyai-legacy"), ...fastPolling } });
  const { send } = client;
  const get = async (path: string) => (await send("GET", path)).body;
  /** A call that is queued until `end`. */
  const heldCall = () => {
    const callSid = simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
    return { callSid, end: () => simulator.trigger({ scenario: [{ atMs: 0, status: "success", reason: "hung up" }] }, callSid) };
  };
  return { send, get, list: client.list<Body>, heldCall, url: receiver.url };
}

const keysOf = (body: unknown) => Object.keys(body as object).toSorted();
const keys = (names: string) => names.split(/[,\s]+/).toSorted();

test("every shape has its keys, all of them always there", async () => {
  const { send, get, list, heldCall, url } = await world();
  const { callSid } = heldCall();
  const hook = (await send("POST", "/v1/hooks", { target_url: `${url}/hook`, event: "call.queued", zap: 1 })).body;
  expect(keysOf(hook)).toEqual(keys("id, secret, url, events, where, format, request, endpoint_id, endpoint_state, created_at, ignored"));
  expect(hook).toMatchObject({ events: ["call.queued"], format: "flat", endpoint_state: "enabled", ignored: ["zap"] });

  const made = (await send("POST", "/v1/watches", { call_sid: callSid, callback_url: `${url}/a` })).body;
  const watchKeys =
    "id call_sid callback_url endpoint_id endpoint_state source status end_reason call events metadata format request sequence explain created_at expires_at ended_at signing_secret";
  expect(keysOf(made)).toEqual(keys(watchKeys));
  const seen = await get(`/v1/watches/${String(made["id"])}?wait=30&sequence=0`);
  expect(keysOf(seen)).toEqual(keys(watchKeys));
  expect(keysOf(seen["call"])).toEqual(keys("status reason terminal observed_at polled_at next_poll_at problem problem_detail"));
  expect(seen).toMatchObject({ sequence: 1, call: { status: "queued", terminal: false, problem: null } });
  const bare = (await send("POST", "/v1/watches", { call_sid: callSid })).body;
  expect(bare).toMatchObject({ callback_url: null, endpoint_id: null, endpoint_state: null, format: null, signing_secret: null });

  const [event] = await list(`/v1/watches/${String(made["id"])}/events`);
  expect(keysOf(event)).toEqual(keys("id type timestamp data deliveries"));
  expect(keysOf(event?.["data"])).toEqual(
    keys("watch_id call_sid source status previous_status reason terminal sequence observed_at observed_after metadata details"),
  );
  const deliveries = event?.["deliveries"] as Body[];
  expect(deliveries).toHaveLength(2);
  for (const delivery of deliveries) expect(keysOf(delivery)).toEqual(keys("id endpoint_id status attempt_count next_attempt_at"));
  expect(await get(`/v1/events/${String(event?.["id"])}`)).toMatchObject({ id: event?.["id"], type: "call.queued" });

  const deliveryKeys =
    "id event_id event_type watch_id call_sid endpoint_id status attempt_count next_attempt_at created_at settled_at last_attempt explain";
  const path = `/v1/deliveries/${String(deliveries[0]?.["id"])}`;
  await expect.poll(async () => (await get(path))["status"]).toBe("delivered");
  const delivery = await get(path);
  expect(keysOf(delivery)).toEqual(keys(`${deliveryKeys} attempts`));
  for (const listed of await list("/v1/deliveries")) expect(keysOf(listed)).toEqual(keys(deliveryKeys));
  const attemptKeys = "number started_at duration_ms status_code error response_excerpt decision";
  expect((delivery["attempts"] as Body[]).map(keysOf)).toEqual([keys(attemptKeys)]);
  expect(keysOf((await send("POST", `/v1/endpoints/${String(made["endpoint_id"])}/test`)).body)).toEqual(keys(attemptKeys));

  const endpointKeys =
    "id url format request hooks headers signatures late max_in_flight max_per_second state reason since paused_until last_success_at success_rate backlog oldest_due_at explain created_at";
  for (const endpoint of await list("/v1/endpoints")) expect(keysOf(endpoint)).toEqual(keys(endpointKeys));
  expect(await get(`/v1/endpoints/${String(made["endpoint_id"])}`)).toMatchObject({ max_in_flight: 32, max_per_second: null, since: null });
  for (const source of await list("/v1/sources"))
    expect(keysOf(source)).toEqual(keys("name kind state reason since last_good_poll_at interval_ms last_unknown_status"));
  expect(keysOf(await get(`/v1/calls/${callSid}`))).toEqual(keys("call_sid source status reason terminal observed_at details"));
  const me = await get("/v1/me");
  expect(keysOf(me)).toEqual(keys("id name public_key key limits retention_days"));
  expect(me["public_key"]).toMatch(/^whpk_/);
});

test("waiting for a watch and for the feed ends with the transition", async () => {
  const { get, send, heldCall, url } = await world();
  const { callSid, end } = heldCall();
  const watch = (await send("POST", "/v1/watches", { call_sid: callSid, callback_url: url })).body;
  const path = `/v1/watches/${String(watch["id"])}`;
  await get(`${path}?wait=30&sequence=0`);
  const first = await get("/v1/events");
  expect((first["data"] as Body[]).map(({ type }) => type)).toEqual(["call.queued"]);
  const after = String(first["next_cursor"]);
  expect(await get(`/v1/events?after=${after}`)).toEqual({ data: [], next_cursor: after });

  const waiting = Promise.all([
    get(`${path}?wait=30`),
    get(`/v1/events?after=${after}&wait=30`),
    get(`/v1/events?after=${after}&wait=30&type=terminal&call_sid=${callSid}`),
  ]);
  end();
  const [ended, feed, filtered] = await waiting;
  expect(ended).toMatchObject({ status: "completed", sequence: 2, call: { status: "success", reason: "hung up", terminal: true } });
  for (const page of [feed, filtered]) expect((page["data"] as Body[]).map(({ type }) => type)).toEqual(["call.success"]);
  // An ended watch is answered at once.
  expect(await get(`${path}?wait=30&sequence=9`)).toMatchObject({ sequence: 2 });
  const since = String((feed["data"] as Body[])[0]?.["timestamp"]);
  expect(((await get(`/v1/events?since=${encodeURIComponent(since)}`))["data"] as Body[]).map(({ type }) => type)).toEqual([
    "call.success",
  ]);
});

test("a page goes on where it ended, even if items are added meanwhile", async () => {
  const { get, send, url } = await world();
  const register = (n: number) =>
    send("POST", "/v1/watches", {
      call_sid: `OUT-sandbox-slow-${n}`,
      source: "sandbox",
      callback_url: `${url}/${n}`,
      events: ["terminal"],
    });
  const hook = (n: number) => send("POST", "/v1/hooks", { url: `${url}/hook/${n}`, events: ["watch.lost"] });
  for (let n = 0; n < 3; n++) await Promise.all([register(n), hook(n)]);
  for (const path of ["/v1/watches", "/v1/endpoints", "/v1/hooks"]) {
    const all = ((await get(path))["data"] as Body[]).map(({ id }) => id);
    const seen: unknown[] = [];
    for (let cursor: unknown = "", added = 10; cursor !== null; added++) {
      const page = await get(`${path}?limit=1${cursor === "" ? "" : `&cursor=${String(cursor)}`}`);
      seen.push(...(page["data"] as Body[]).map(({ id }) => id));
      cursor = page["next_cursor"];
      await Promise.all([register(added), hook(added)]);
    }
    expect(seen).toEqual(all);
  }
});

test("a watch is deleted twice, and purged with its events and the answers stored for repeats", async () => {
  const { get, send, list, heldCall, url } = await world();
  const { callSid } = heldCall();
  const body = { call_sid: callSid, callback_url: url };
  const keyed = (path: string, given?: unknown) => send("POST", path, given, { "idempotency-key": "key" });
  const watch = (await keyed("/v1/watches", body)).body;
  await keyed("/v1/watches/batch", { watches: [body, body] });
  const path = `/v1/watches/${String(watch["id"])}`;
  await get(`${path}?wait=30&sequence=0`);
  const waiting = get(`${path}?wait=30`);
  for (let again = 0; again < 2; again++) expect((await send("DELETE", path)).status).toBe(204);
  for (const view of [await waiting, await get(path)]) expect(view).toMatchObject({ status: "canceled", end_reason: "deleted" });
  const [event] = await list(`${path}/events`);
  expect((await keyed("/v1/watches", body)).body).toEqual(watch);
  expect((await send("DELETE", `${path}?purge=true`)).status).toBe(204);
  for (const gone of [path, `${path}/events`, `/v1/events/${String(event?.["id"])}`]) expect((await send("GET", gone)).status).toBe(404);
  expect((await send("DELETE", `${path}?purge=true`)).status).toBe(404);
  expect(await list("/v1/events")).toEqual([]);
  const repeats = [await keyed("/v1/watches/batch", { watches: [body, body] }), await keyed("/v1/watches", body)];
  for (const { headers, text } of repeats) {
    expect(headers["idempotency-replayed"]).toBeUndefined();
    expect(text).not.toContain(String(watch["id"]));
  }
});

test("while a 429 is obeyed its endpoint reads paused, why, since when and until when", async () => {
  const { get, send, url } = await world({ answers: () => ({ statusCode: 429, headers: { "retry-after": "3600" } }) });
  const body = { call_sid: "OUT-sandbox-slow-1", source: "sandbox", callback_url: url, events: ["terminal"] };
  const watch = (await send("POST", "/v1/watches", body)).body;
  const path = `/v1/endpoints/${String(watch["endpoint_id"])}`;
  const attempt = (await send("POST", `${path}/test`)).body;
  const paused = await get(path);
  expect(paused).toMatchObject({ state: "paused", reason: "rate_limited" });
  const [startedAt, since, until] = [attempt["started_at"], paused["since"], paused["paused_until"]].map((time) =>
    Date.parse(String(time)),
  );
  expect(since).toBeGreaterThanOrEqual(startedAt ?? Infinity);
  expect((until ?? 0) - (since ?? 0)).toBe(3_600_000);
  expect(await get(`/v1/watches/${String(watch["id"])}`)).toMatchObject({ endpoint_state: "paused" });
});

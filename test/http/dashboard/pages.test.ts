import { describe, expect, test } from "vitest";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { Endpoint } from "../../../src/domain/deliveries/endpoint.ts";
import { newId } from "../../../src/domain/ids.ts";
import { answered, minute, only, placingDraft, second, secretDraft } from "../../harness/store-drafts.ts";
import { hashApiKey, key, openDashboard, signIn } from "./dashboard-world.ts";
import { linksOf, textOf } from "./page-text.ts";

const url = "https://crm.example/hooks/calls";

const sids = (text: string) => [...text.matchAll(/>(OUT-\d+)<\/span/g)].map(([, sid]) => sid);

/** A call that was queued and failed: its first webhook failed twice, its second waits behind it. */
async function failingDashboard() {
  const dashboard = await openDashboard();
  const { world, clock } = dashboard;
  const { view } = await world.watch("OUT-1", {
    url,
    metadata: { lead_id: "00Q5g000" },
    endpoint: {
      headers: { names: ["x-api-key"], sealed: new TextEncoder().encode("header-value"), fingerprints: ["f"] },
      generatedSecret: secretDraft("whsec_secret"),
    },
  });
  const first = only((await world.see("OUT-1", "queued")).jobs);
  await world.record(first, answered(401));
  world.pass(6 * second);
  const again = only((await world.claim()).jobs);
  await world.record(again, { kind: "answered", statusCode: 500, retryAfter: null, excerpt: "Traceback: no such lead" });
  await world.see("OUT-1", "failure", "max timeout limit exceeded");
  clock.setWall(world.nowMs);
  return {
    ...dashboard,
    ...(await signIn(dashboard)),
    watchId: view.watch.id,
    deliveryId: first.deliveryId,
    endpointId: view.watch.endpointId ?? "",
  };
}

test("a webhook of a template is shown as it is sent, and its format wherever formats are", async () => {
  const dashboard = await openDashboard();
  const { world } = dashboard;
  const request = '{"method":"PUT","content_type":"text/plain","body":"<{{data.call_sid}}> is {{data.status}}"}';
  const { view } = await world.watch("OUT-1", { url, endpoint: { format: "template", request } });
  const { deliveryId } = only((await world.see("OUT-1", "queued")).jobs);
  const { get } = await signIn(dashboard);
  const delivery = await get(`/dashboard/deliveries/${deliveryId}`);
  expect(textOf(delivery.text)).toContain("current format, template.");
  expect(delivery.text).toContain("&lt;OUT-1&gt; is queued");
  expect(textOf((await get(`/dashboard/watches/${view.watch.id}`)).text)).toContain("format template");
  expect(textOf((await get(`/dashboard/endpoints/${view.watch.endpointId ?? ""}`)).text)).toContain("Format template");
});

describe("a watch", () => {
  test("says what became of the call and of each webhook, and what to do", async () => {
    const { get, watchId, deliveryId, endpointId } = await failingDashboard();
    const { status, text } = await get(`/dashboard/watches/${watchId}`);
    expect(status).toBe(200);
    const said = textOf(text);
    expect(said).toContain("completed: the call has ended; 2 webhooks are still pending.");
    expect(said).toContain("lead_id 00Q5g000");
    expect(said).toMatch(
      /call\.queued .* Attempt 1 .* answered 401 .* Attempt 2 .* answered 500 .* The receiver failed while it handled the webhook/,
    );
    expect(said).toMatch(/call\.failure .* Reason: max timeout limit exceeded .* waits for event 1 of the same watch/);
    expect(linksOf(text)).toEqual(
      expect.arrayContaining([
        `/dashboard/deliveries/${deliveryId}`,
        `/dashboard/endpoints/${endpointId}`,
        `/dashboard/watches/${watchId}/delete`,
      ]),
    );
  });

  test("without events says so", async () => {
    const dashboard = await openDashboard();
    const { view } = await dashboard.world.watch("OUT-1", { url });
    const { get } = await signIn(dashboard);
    const said = textOf((await get(`/dashboard/watches/${view.watch.id}`)).text);
    expect(said).toContain("waiting for the first poll of the call.");
    expect(said).toContain("No event yet: no status of the call was seen.");
  });

  test("without deliveries says why", async () => {
    const dashboard = await openDashboard();
    const { view } = await dashboard.world.watch("OUT-1", { url, events: ["terminal"] });
    await dashboard.world.see("OUT-1", "queued");
    const { get } = await signIn(dashboard);
    expect(textOf((await get(`/dashboard/watches/${view.watch.id}`)).text)).toContain("No webhook was sent: no filter matches this event");
  });

  test("shows the newest three attempts of a delivery", async () => {
    const dashboard = await openDashboard();
    const { world } = dashboard;
    const { view } = await world.watch("OUT-1", { url });
    await world.record(only((await world.see("OUT-1", "queued")).jobs), answered(429));
    for (let index = 0; index < 4; index++) {
      world.pass(10 * minute);
      await world.record(only((await world.claim()).jobs), answered(429));
    }
    const { get } = await signIn(dashboard);
    const said = textOf((await get(`/dashboard/watches/${view.watch.id}`)).text);
    expect(said).toContain("2 earlier attempts are on the page of the delivery.");
    expect([1, 2, 3, 4, 5].map((number) => said.includes(`Attempt ${number} `))).toEqual([false, false, true, true, true]);
  });
});

describe("a delivery", () => {
  test("shows every attempt, what was answered, and the body as it is sent", async () => {
    const { get, deliveryId, watchId } = await failingDashboard();
    const { status, text } = await get(`/dashboard/deliveries/${deliveryId}`);
    expect(status).toBe(200);
    const said = textOf(text);
    expect(said).toMatch(/waits for attempt 3 at 2026-11-24 12:05:06 \(in 5 min\)\./);
    expect(said).toMatch(/Attempt 2 .* answered 500 .* Traceback: no such lead Attempt 1 .* answered 401/);
    expect(said).toContain(`"watch_id":"${watchId}"`);
    expect(text).toContain("<pre>\nTraceback: no such lead</pre>");
    expect(linksOf(text)).toContain(`/dashboard/watches/${watchId}`);
  });
});

describe("an endpoint", () => {
  test("shows its health, its pending webhooks and the names of its headers, no value", async () => {
    const { get, endpointId } = await failingDashboard();
    const { status, text } = await get(`/dashboard/endpoints/${endpointId}`);
    expect(status).toBe(200);
    const said = textOf(text);
    expect(said).toMatch(/State failing Failing 2 in a row since 2026-11-24 12:00:00 6 s ago/);
    expect(said).toContain("Pending 2");
    expect(said).toContain("x-api-key (values are never shown)");
    expect(said).toContain("Pause");
    expect(linksOf(text)).toContain(`/dashboard/deliveries?endpoint_id=${endpointId}&status=exhausted`);
  });

  test.each<[Endpoint["state"], string, boolean]>([
    ["paused", "Enable", true],
    ["disabled", "Enable", false],
    ["enabled", "Pause", true],
  ])("that is %s can be changed back", async (state, label, isTestable) => {
    const { get, world, account, endpointId } = await failingDashboard();
    await world.store.patchEndpoint({ by: null, accountId: account.id, endpointId, patch: { state }, nowMs: world.nowMs });
    const { text } = await get(`/dashboard/endpoints/${endpointId}`);
    expect(text).toContain(`>${label}</button>`);
    expect(text.includes("Send a test webhook")).toBe(isTestable);
  });
});

describe("the overview", () => {
  test("lists sources, endpoints with issues, pending and failed webhooks", async () => {
    const { get, world, clock } = await failingDashboard();
    await world.watch("OUT-2", { url: "https://blocked.example/" });
    const blocked = only((await world.see("OUT-2", "queued")).jobs);
    await world.record(blocked, { kind: "failed", code: "blocked_address", detail: "loopback", statusCode: null, permanent: true });
    clock.setWall(world.nowMs);
    const { status, text } = await get("/dashboard");
    expect(status).toBe(200);
    const said = textOf(text);
    expect(said).toMatch(/Pending webhooks 2 Oldest due 2026-11-24 12:01:00 in 54 s Endpoints with issues 2/);
    expect(said).toMatch(/Endpoints with issues .*crm\.example\/hooks\/calls failing/);
    expect(said).toMatch(/Recently failed .* call\.queued failed failed for good after 1 attempt/);
    expect(said).toMatch(/Sources .* default ok Answers\./);
    expect(linksOf(text)).toContain(`/dashboard/deliveries/${blocked.deliveryId}`);
  });

  test("of a new account says that there is nothing yet", async () => {
    const { get } = await signIn(await openDashboard());
    const said = textOf((await get("/dashboard")).text);
    expect(said).toContain("None: every endpoint that was checked is enabled");
    expect(said).toContain("No watch matches.");
  });
});

describe("lists", () => {
  test("are filtered and paged by the store's cursor", async () => {
    const dashboard = await openDashboard();
    for (let index = 0; index < 30; index++) await dashboard.world.watch(`OUT-${index}`, { url: `https://host-${index}.example/` });
    const { get } = await signIn(dashboard);
    const first = await get("/dashboard/watches?status=active");
    const next = linksOf(first.text).find((link) => link.includes("cursor=")) ?? "";
    expect(next).toMatch(/^\/dashboard\/watches\?status=active&cursor=/);
    const second = await get(next);
    expect([...sids(first.text), ...sids(second.text)]).toEqual(Array.from({ length: 30 }, (_, index) => `OUT-${29 - index}`));
    expect(linksOf(second.text).filter((link) => link.includes("cursor="))).toEqual([]);
    expect(linksOf(second.text)).toContain("/dashboard/watches?status=active");
    expect(sids((await get("/dashboard/watches?status=ended&call_sid=")).text)).toEqual([]);
    expect(sids((await get("/dashboard/watches?call_sid=+OUT-7+")).text)).toEqual(["OUT-7"]);
    const endpoints = await get("/dashboard/endpoints");
    expect(endpoints.text.match(/https:\/\/host-\d+\.example/g)).toHaveLength(25);
    expect(linksOf(endpoints.text).some((link) => link.startsWith("/dashboard/endpoints?cursor="))).toBe(true);
  });

  test("of deliveries take status, endpoint and watch", async () => {
    const { get, watchId, endpointId } = await failingDashboard();
    const rows = async (query: string) => (await get(`/dashboard/deliveries?${query}`)).text.match(/<tr role="row">/g)?.length ?? 0;
    expect(await rows("status=pending")).toBe(3);
    expect(await rows(`endpoint_id=${endpointId}&watch_id=${watchId}&status=`)).toBe(3);
    expect(await rows("status=delivered")).toBe(0);
    expect(await rows("endpoint_id=ep_unknown")).toBe(0);
  });

  test("of hooks name them and lead to what removes them", async () => {
    const dashboard = await openDashboard();
    const { view } = await dashboard.world.hook("https://hooks.example/", { events: ["terminal"] });
    const { get } = await signIn(dashboard);
    const { text } = await get("/dashboard/hooks");
    expect(textOf(text)).toMatch(/https:\/\/hooks\.example\/ hk_\w+ terminal enabled endpoint flat/);
    expect(linksOf(text)).toContain(`/dashboard/hooks/${view.id}/delete`);
    expect(textOf((await get(`/dashboard/hooks/${view.id}/delete`)).text)).toContain("Remove the hook to https://hooks.example/?");
  });

  test.each([
    "/dashboard/watches?status=odd",
    "/dashboard/watches?call_sid=a%00b",
    "/dashboard/watches?cursor=x",
    "/dashboard/deliveries?status=a&status=b",
  ])("%s is 422 and says what is wrong", async (path) => {
    const { get } = await signIn(await openDashboard());
    const answer = await get(path);
    expect(answer.status).toBe(422);
    expect(textOf(answer.text)).toMatch(/422 Invalid request (status|call_sid|cursor): /);
  });
});

describe("what is pasted into the search", () => {
  test("leads to its page", async () => {
    const { get, world, watchId, deliveryId, endpointId, account } = await failingDashboard();
    const events = await world.store.listWatchEvents({ accountId: account.id, watchId, limit: 1, cursor: null });
    const target = async (text: string) => (await get(`/dashboard/find?q=${encodeURIComponent(text)}`)).headers["location"];
    expect(await target(" OUT-1 ")).toBe("/dashboard/watches?call_sid=OUT-1");
    expect(await target(watchId)).toBe(`/dashboard/watches/${watchId}`);
    expect(await target(deliveryId)).toBe(`/dashboard/deliveries/${deliveryId}`);
    expect(await target(endpointId)).toBe(`/dashboard/endpoints/${endpointId}`);
    expect(await target(events?.data[0]?.event.id ?? "")).toBe(`/dashboard/watches/${watchId}`);
    expect(await target("wch_//elsewhere.example\r\nx: y")).toBe("/dashboard/watches/wch_%2F%2Felsewhere.example%0D%0Ax%3A%20y");
    const { view: hook } = await world.hook("https://crm.example/hook");
    const hookPage = textOf((await get(`/dashboard/find?q=${hook.id}`)).text);
    for (const text of [hook.id, "https://crm.example/hook"]) expect(hookPage).toContain(text);
    const draft = placingDraft(account.id, world.nowMs);
    await world.store.createPlacing(draft);
    expect(textOf((await get(`/dashboard/find?q=${draft.id}`)).text)).toContain(`Placing ${draft.id} State sending`);
    expect(await target("lead_id:00Q5g000")).toBe(`/dashboard/watches/${watchId}`);
    await world.watch("OUT-2", { metadata: { lead_id: "00Q5g000" } });
    expect(await target("lead_id = 00Q5g000")).toBe("/dashboard/watches?metadata=lead_id+%3D+00Q5g000");
    const list = await get("/dashboard/watches?metadata=lead_id:00Q5g000");
    expect(sids(list.text).toSorted()).toEqual(["OUT-1", "OUT-2"]);
    expect((await get("/dashboard/watches?metadata=lead_id:00Q5g000&status=completed")).text).not.toContain("OUT-2");
    expect((await get("/dashboard/watches?metadata=none")).status).toBe(422);
    for (const unknown of ["hk_unknown", "plc_unknown", "lead_id:unknown"])
      expect([unknown, (await get(`/dashboard/find?q=${unknown}`)).status]).toEqual([unknown, 404]);
    expect((await get("/dashboard/find?q=evt_unknown")).status).toBe(404);
    expect((await get("/dashboard/find")).status).toBe(404);
  });
});

describe("what is not there", () => {
  const paths = [
    "watches/wch_x",
    "watches/wch_x/delete",
    "deliveries/dlv_x",
    "endpoints/ep_x",
    "hooks/hk_x/delete",
    "nowhere",
    "watches/%00%zz",
  ];
  test.each(paths)("%s is a 404 page with the request id", async (path) => {
    const dashboard = await openDashboard();
    const { cookie } = await signIn(dashboard);
    const answer = await dashboard.ask(`/dashboard/${path}`, { headers: { cookie, "x-request-id": "asked-1" } });
    expect(answer.status).toBe(404);
    expect(answer.headers["content-type"]).toMatch(/^text\/html/);
    expect(textOf(answer.text)).toMatch(/404 Not found .* Request asked-1$/);
  });

  test("another account's is as unknown as any", async () => {
    const { world, ask, watchId, deliveryId, endpointId } = await failingDashboard();
    const other = await world.account("other");
    const otherKey = "rb_other_key_0123456789abc";
    const fingerprints = [hashApiKey(otherKey)];
    await world.store.ensureKey({ id: newId("key", world.nowMs), accountId: other.id, name: "test", fingerprints, nowMs: world.nowMs });
    for (const path of [`watches/${watchId}`, `watches/${watchId}/delete`, `deliveries/${deliveryId}`, `endpoints/${endpointId}`])
      expect([path, (await ask(`/dashboard/${path}`, { headers: { "x-api-key": otherKey } })).status]).toEqual([path, 404]);
    const lists = await Promise.all(
      ["", "/watches", "/deliveries", "/endpoints", "/hooks"].map((path) =>
        ask(`/dashboard${path}`, { headers: { "x-api-key": otherKey } }),
      ),
    );
    for (const { text } of lists) expect(text).not.toContain("crm.example");
  });

  test("another method is 405 and says which", async () => {
    const dashboard = await openDashboard();
    const { cookie } = await signIn(dashboard);
    const answer = await dashboard.ask("/dashboard/watches", { method: "DELETE", headers: { cookie } });
    expect([answer.status, answer.headers["allow"]]).toEqual([405, "GET, HEAD, POST"]);
    expect(textOf(answer.text)).toContain("405 Method not allowed");
  });

  test("elsewhere stays a problem document", async () => {
    const { ask } = await openDashboard();
    for (const path of ["/nowhere", "/dashboards", "/v1/dashboard/watches"]) {
      const answer = await ask(path, { headers: { "x-api-key": key } });
      expect([path, answer.status, answer.headers["content-type"]]).toEqual([path, 404, "application/problem+json"]);
    }
  });
});

describe("our own trouble", () => {
  test("a store that cannot be read is a 503 page", async () => {
    const dashboard = await openDashboard({
      store: { listWatches: () => Promise.reject(new StoreUnavailableError("disk I/O error at /data/secret.db")) },
    });
    const { get } = await signIn(dashboard);
    const answer = await get("/dashboard/watches");
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "1"]);
    expect(textOf(answer.text)).toContain("503 Not available");
    expect(answer.text).not.toContain("secret.db");
  });

  test("a bug is a 500 page that says nothing of itself", async () => {
    const dashboard = await openDashboard({ store: { listHooks: () => Promise.reject(new TypeError("x of undefined, key hunter2")) } });
    const { get } = await signIn(dashboard);
    const answer = await get("/dashboard/hooks");
    expect(answer.status).toBe(500);
    expect(textOf(answer.text)).toContain("Search the service's log for the request id below.");
    expect(answer.text).not.toContain("hunter2");
    expect(dashboard.logged.find(({ level }) => level === "error")?.fields).toMatchObject({ route: "/dashboard/hooks" });
  });
});

test("no page shows a secret, a header's value or a key", async () => {
  const { get, watchId, deliveryId, endpointId } = await failingDashboard();
  const paths = [
    "",
    "/watches",
    `/watches/${watchId}`,
    `/watches/${watchId}/delete`,
    "/deliveries",
    `/deliveries/${deliveryId}`,
    "/endpoints",
    `/endpoints/${endpointId}`,
    "/hooks",
  ];
  for (const path of paths) {
    const { status, text } = await get(`/dashboard${path}`);
    expect([path, status]).toEqual([path, 200]);
    for (const secret of ["header-value", "whsec_", key]) expect(text).not.toContain(secret);
  }
});

test("a page loads itself again only when asked to, and nothing else ever", async () => {
  const { get, watchId } = await failingDashboard();
  const path = `/dashboard/watches/${watchId}`;
  const quiet = await get(path);
  expect(quiet.text).not.toContain("http-equiv");
  expect(linksOf(quiet.text)).toContain(`${path}?refresh=on`);
  const live = await get(`${path}?refresh=on`);
  expect(live.text).toContain('<meta http-equiv="refresh" content="10" />');
  expect(linksOf(live.text)).toContain(path);
  expect(quiet.text.match(/<script[^>]*>/g)).toEqual([
    expect.stringMatching(/^<script src="\/dashboard\/live-\w+\.js" data-stream="[^"]*" defer>$/),
  ]);
  expect(live.text).not.toContain("<script");
  for (const { text } of [quiet, live])
    expect(text.replace(/<script[^>]*>/, "")).not.toMatch(/<script|<img|<link|<iframe|src=|url\(|@import/i);
});

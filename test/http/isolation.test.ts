import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import type { Answer, Client } from "../harness/service/client.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Ids = {
  readonly watch: string;
  readonly event: string;
  readonly delivery: string;
  readonly endpoint: string;
  readonly hook: string;
  readonly placing: string;
  readonly key: string;
  readonly link: string;
  /** Only the first account watches it. */
  readonly callSid: string;
  readonly callbackUrl: string;
  /** Of lists of the first account. */
  readonly cursors: Readonly<Record<string, string>>;
};

type Probe = {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
};
type ById = { readonly id: string };
type Listed = { readonly data: readonly ById[]; readonly next_cursor: string | null };

const get = (path: string, status: number): Probe => ({ method: "GET", path, status });
const post = (path: string, status: number, body?: unknown): Probe => ({ method: "POST", path, status, body });

/** A list, whole and gone on with from where the first account's ended. */
const list = (path: string, cursor: string | undefined): readonly Probe[] => [
  get(path, 200),
  get(`${path}?limit=1&cursor=${cursor ?? "missing"}`, 200),
];

/**
 * How the second account calls each operation with what belongs to the first one, and what it must be answered. A new
 * operation belongs here: without it the test fails.
 */
const probesOf: Readonly<Record<string, (ids: Ids) => readonly Probe[]>> = {
  createWatch: ({ callSid, callbackUrl }) => [post("/v1/watches", 201, { call_sid: callSid, callback_url: callbackUrl })],
  createWatches: ({ callSid, callbackUrl }) => [
    post("/v1/watches/batch", 200, { watches: [{ call_sid: callSid, callback_url: `${callbackUrl}/batch` }] }),
  ],
  listWatches: ({ cursors, callSid }) => [...list("/v1/watches", cursors["/v1/watches"]), get(`/v1/watches?call_sid=${callSid}`, 200)],
  getWatch: ({ watch }) => [get(`/v1/watches/${watch}`, 404), get(`/v1/watches/${watch}?wait=1&sequence=0`, 404)],
  patchWatch: ({ watch }) => [{ method: "PATCH", path: `/v1/watches/${watch}`, body: { metadata: {} }, status: 404 }],
  deleteWatch: ({ watch }) => [
    { method: "DELETE", path: `/v1/watches/${watch}`, status: 404 },
    { method: "DELETE", path: `/v1/watches/${watch}?purge=true`, status: 404 },
  ],
  listWatchEvents: ({ watch }) => [get(`/v1/watches/${watch}/events`, 404)],
  getEvent: ({ event }) => [get(`/v1/events/${event}`, 404)],
  readFeed: ({ cursors, callSid }) => [
    get("/v1/events", 200),
    get(`/v1/events?call_sid=${callSid}`, 200),
    get(`/v1/events?after=${cursors["/v1/events"]}`, 200),
  ],
  getCall: ({ callSid }) => [get(`/v1/calls/${callSid}`, 404), get(`/v1/calls/${callSid}?source=default`, 404)],
  placeCall: ({ callbackUrl }) => [
    {
      ...post("/v1/calls", 201, { source: "sandbox", call: { scenario: "slow" }, callback_url: callbackUrl }),
      headers: { "idempotency-key": "first-placing" },
    },
  ],
  listPlacings: ({ cursors }) => [...list("/v1/placings", cursors["/v1/placings"]), get("/v1/placings?state=placed", 200)],
  resolvePlacing: ({ placing }) => [post(`/v1/placings/${placing}/resolve`, 404, { call_sid: null })],
  createHook: ({ callbackUrl }) => [post("/v1/hooks", 201, { url: callbackUrl })],
  listHooks: ({ cursors }) => list("/v1/hooks", cursors["/v1/hooks"]),
  getHook: ({ hook }) => [get(`/v1/hooks/${hook}`, 404)],
  deleteHook: ({ hook }) => [{ method: "DELETE", path: `/v1/hooks/${hook}`, status: 204 }],
  sampleHook: () => [get("/v1/hooks/sample?limit=3", 200)],
  listEndpoints: ({ cursors }) => list("/v1/endpoints", cursors["/v1/endpoints"]),
  getEndpoint: ({ endpoint }) => [get(`/v1/endpoints/${endpoint}`, 404)],
  patchEndpoint: ({ endpoint }) => [{ method: "PATCH", path: `/v1/endpoints/${endpoint}`, body: { state: "disabled" }, status: 404 }],
  rotateSecret: ({ endpoint }) => [post(`/v1/endpoints/${endpoint}/rotate-secret`, 404, { grace_seconds: 0 })],
  testEndpoint: ({ endpoint }) => [post(`/v1/endpoints/${endpoint}/test`, 404)],
  recoverEndpoint: ({ endpoint }) => [post(`/v1/endpoints/${endpoint}/recover`, 404, { since: "2026-11-24T00:00:00Z" })],
  listDeliveries: ({ cursors, endpoint, watch }) => [
    ...list("/v1/deliveries", cursors["/v1/deliveries"]),
    get(`/v1/deliveries?endpoint_id=${endpoint}`, 200),
    get(`/v1/deliveries?watch_id=${watch}`, 200),
  ],
  getDelivery: ({ delivery }) => [get(`/v1/deliveries/${delivery}`, 404)],
  retryDelivery: ({ delivery }) => [post(`/v1/deliveries/${delivery}/retry`, 404)],
  previewTemplate: ({ event }) => [
    post("/v1/templates/preview", 422, { format: "flat", event_id: event }),
    post("/v1/templates/preview", 200, { format: "flat" }),
  ],
  sendMcpMessage: ({ watch }) => [post("/mcp", 200, mcpExplain(watch))],
  getMe: () => [get("/v1/me", 200)],
  setDefaultSecret: () => [
    { method: "PUT", path: "/v1/me/signing-secret", body: { signing_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }, status: 204 },
  ],
  listSources: () => [get("/v1/sources", 200)],
  createKey: () => [post("/v1/keys", 201, { name: "another" })],
  createPortalLink: () => [post("/v1/portal-links", 201, { can: "look" })],
  listPortalLinks: ({ cursors }) => list("/v1/portal-links", cursors["/v1/portal-links"]),
  deletePortalLink: ({ link }) => [{ method: "DELETE", path: `/v1/portal-links/${link}`, status: 404 }],
  listAudit: ({ cursors }) => list("/v1/audit", cursors["/v1/audit"]),
  listKeys: ({ cursors }) => [get(`/v1/keys?limit=1&cursor=${cursors["/v1/keys"]}`, 200)],
  deleteKey: ({ key }) => [{ method: "DELETE", path: `/v1/keys/${key}`, status: 404 }],
  getHealth: () => [get("/healthz", 200)],
  getReadiness: () => [get("/readyz", 200)],
  getDocument: () => [get("/openapi.json", 200)],
  getDocs: () => [get("/docs", 200)],
  getGuides: () => [get("/docs/guides", 200)],
  getGuide: () => [get("/docs/guides/api", 200)],
  getStart: () => [get("/", 200)],
};

/** A tool of another account's id is refused in its result. */
function mcpExplain(id: string) {
  return { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "explain", arguments: { id } } };
}

type OpenApi = { readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>> };

async function operationsOf(client: Client): Promise<readonly string[]> {
  const { body } = await client.send("GET", "/openapi.json");
  return Object.values((body as OpenApi).paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId));
}

/** Everything the first account can see of its own; while the clock stands it does not change by itself. */
async function viewOf({ send }: Client, ids: Ids): Promise<unknown> {
  const paths = [
    "/v1/me",
    "/v1/watches",
    `/v1/watches/${ids.watch}`,
    `/v1/watches/${ids.watch}/events`,
    "/v1/events",
    "/v1/hooks",
    "/v1/endpoints",
    "/v1/deliveries",
    "/v1/placings",
    "/v1/keys",
    "/v1/audit",
    "/v1/portal-links",
    `/v1/deliveries/${ids.delivery}`,
    `/v1/calls/${ids.callSid}`,
  ];
  const views: [string, unknown][] = [];
  for (const path of paths) views.push([path, (await send("GET", path)).body]);
  return Object.fromEntries(views);
}

/** Every first attempt of the four has been made. */
function haveFailed({ data }: Listed): boolean {
  return data.length === 4 && data.every((delivery) => "attempt_count" in delivery && delivery.attempt_count === 1);
}

/** What reads comes before what makes things of the second account's own, so that lists are empty at first. */
function order(operation: string): number {
  return operation.startsWith("create") || operation === "placeCall" ? 1 : 0;
}

/** One account with something of everything: two watches with an event each, their deliveries refused, a hook. */
async function fill(client: Client, callSids: readonly string[], url: string): Promise<Ids> {
  const created: ById[] = [];
  const hook = await client.send("POST", "/v1/hooks", { url: `${url}/hook`, headers: { "x-gate": "first-header-value" } });
  await client.send("POST", "/v1/hooks", { url: `${url}/hook`, events: ["terminal"] });
  for (const callSid of callSids) {
    const answer = await client.send("POST", "/v1/watches", {
      call_sid: callSid,
      callback_url: `${url}/first`,
      metadata: { lead: "first-metadata-value" },
    });
    created.push(answer.body as ById);
  }
  const listed = async (path: string) => (await client.send("GET", path)).body as Listed;
  // Both events went to the watch's endpoint and to the hook's.
  const deliveries = await eventually(() => listed("/v1/deliveries"), haveFailed);
  // Calls that have no event, and whose view is still after the first poll.
  for (const key of ["first-placing", "first-placing-2"]) {
    const body = { source: "sandbox", call: { scenario: "not-found" }, callback_url: null, metadata: { lead: "first-metadata-value" } };
    const placed = await client.send("POST", "/v1/calls", body, { "idempotency-key": key });
    const path = `/v1/watches/${(placed.body as ById).id}`;
    await eventually(
      async () => (await client.send("GET", path)).body as { readonly call: { readonly problem: string | null } },
      ({ call }) => call.problem === "not_found_yet",
    );
  }
  const key = (await client.send("POST", "/v1/keys", { name: "first-key-name" })).body as ById;
  await client.send("POST", "/v1/portal-links", { can: "look" });
  const link = (await client.send("POST", "/v1/portal-links", { can: "look" })).body as ById;
  const watch = created[0]?.id ?? "";
  const cursors: Record<string, string> = {};
  for (const path of [
    "/v1/watches",
    "/v1/hooks",
    "/v1/endpoints",
    "/v1/deliveries",
    "/v1/events",
    "/v1/placings",
    "/v1/keys",
    "/v1/audit",
    "/v1/portal-links",
  ])
    cursors[path] = (await listed(`${path}?limit=1`)).next_cursor ?? "missing";
  return {
    watch,
    event: (await listed(`/v1/watches/${watch}/events`)).data[0]?.id ?? "",
    delivery: (await listed(`/v1/deliveries?watch_id=${watch}`)).data[0]?.id ?? deliveries.data[0]?.id ?? "",
    endpoint: (await listed("/v1/endpoints")).data[0]?.id ?? "",
    hook: (hook.body as ById).id,
    placing: (await listed("/v1/placings")).data[0]?.id ?? "",
    key: key.id,
    link: link.id,
    callSid: callSids[0] ?? "",
    callbackUrl: `${url}/first`,
    cursors,
  };
}

/** What an answer to the second account must not hold: ids and values of the first one, without what both know. */
async function marksOf(client: Client, ids: Ids): Promise<readonly string[]> {
  const text = JSON.stringify(await viewOf(client, ids));
  const found = [...text.matchAll(/\b(?:acc|aud|key|ptl|plc|wch|evt|dlv|ep|hk|att)_[A-Za-z0-9]+/g)].map(([id]) => id);
  return [...new Set([...found, "first-metadata-value", "first-header-value", "first-key-name", "x-gate"])];
}

test("no operation shows or changes anything of another account, even if its ids are known", { timeout: 60_000 }, async () => {
  // Setup: a clock that does not move, so that nothing changes by itself; both accounts use the same upstream and the same URLs.
  const upstream = await simulatedUpstream();
  const receiver = await startReceiver({ answers: () => 500 });
  onTestFinished(() => receiver.close());
  const service = await startService({
    database: "sqlite-file",
    environment: upstream.environment("polyai-legacy"),
    clock: new FakeClock(),
  });
  const { client: first, account_id: accountId } = await service.createAccount("first", "--default-source");
  const { client: second } = await service.createAccount("second", "--default-source");
  const trigger = () => upstream.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
  const ids = await fill(first, [trigger(), trigger()], receiver.url);
  for (const id of [ids.watch, ids.event, ids.delivery, ids.endpoint, ids.hook]) expect(id).toMatch(/^[a-z]{2,3}_\w+$/);
  expect(Object.values(ids.cursors)).not.toContain("missing");
  const marks = [...(await marksOf(first, ids)), accountId];
  expect(marks.length).toBeGreaterThan(15);
  const before = await viewOf(first, ids);

  const operations = await operationsOf(second);
  expect(operations.toSorted()).toEqual(Object.keys(probesOf).toSorted());
  for (const operation of operations.toSorted((a, b) => order(a) - order(b)))
    for (const { method, path, body, headers, status } of probesOf[operation]?.(ids) ?? []) {
      const answer: Answer = await second.send(method, path, body, headers);
      expect({ operation, path, status: answer.status }).toEqual({ operation, path, status });
      for (const mark of marks) expect(answer.text, `${operation} ${path}`).not.toContain(mark);
      if (
        order(operation) === 0 &&
        Array.isArray((answer.body as Partial<Listed> | null)?.data) &&
        !["listAudit", "listSources", "listKeys"].includes(operation)
      )
        expect({ path, data: (answer.body as Listed).data }).toEqual({ path, data: [] });
      expect(await viewOf(first, ids), `${operation} ${path}`).toEqual(before);
    }

  // With things of its own on the same call and the same URLs, it still sees these alone.
  for (const operation of operations.filter((name) => /^(?:list|read|get|sample)/.test(name) && name !== "getCall"))
    for (const { method, path, body } of probesOf[operation]?.(ids) ?? []) {
      const { text } = await second.send(method, path, body);
      for (const mark of marks) expect(text, `${operation} ${path}`).not.toContain(mark);
    }
  expect(await viewOf(first, ids)).toEqual(before);
});

test("an unknown key sees nothing at all", async () => {
  const service = await startService({ database: "sqlite-file", clock: new FakeClock() });
  const { client, key } = await service.createAccount("first", "--default-source");
  const ids = {
    watch: "x",
    event: "x",
    delivery: "x",
    endpoint: "x",
    hook: "x",
    placing: "x",
    key: "x",
    link: "x",
    callSid: "OUT-1",
    callbackUrl: "http://127.0.0.1:9/",
    cursors: {},
  };
  const open = new Set(["getHealth", "getReadiness", "getDocument", "getDocs", "getGuides", "getGuide", "getStart"]);
  for (const [operation, probes] of Object.entries(probesOf))
    for (const { method, path, body } of probes(ids)) {
      const { status, headers } = await client.send(method, path, body, { authorization: `Bearer ${key}x` });
      expect({ operation, status }).toEqual({ operation, status: open.has(operation) ? 200 : 401 });
      if (status === 401) expect(headers["www-authenticate"]).toMatch(/^Bearer/);
    }
});

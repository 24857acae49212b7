import { expect, onTestFinished, test } from "vitest";
import { createTestApi } from "../http/test-api.ts";
import type { Json } from "../harness/service/client.ts";
import { apiKey } from "../harness/service/environment.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { eventually } from "../harness/service/eventually.ts";
import { runCommand, startService, temporaryFolder } from "../harness/service/service.ts";
import type { InProcessService } from "../harness/service/service.ts";
import { answering, placing, triggerUpstream } from "../harness/upstream/trigger-upstream.ts";
import { join } from "node:path";

const number = "+441234567890";
const headerValue = "s3cret-header-value";
const secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_dGhpcyBpcyBhbm90aGVyIHNlY3JldCBvZiBvdXJz"] as const;
const credential = "s3cret-credential";

/** What one step did: the actions that its rows must have, and the steps that leave none. */
type Step = { readonly name: string; readonly actions: readonly string[]; readonly run: () => Promise<unknown> };

type Row = Readonly<Record<string, unknown>> & { readonly id: string; readonly action: string; readonly actor: Json };

async function startWorld() {
  const upstream = await triggerUpstream();
  const receiver = await startReceiver({ answers: () => 500 });
  onTestFinished(() => receiver.close());
  const folder = await temporaryFolder();
  const service = await startService({
    database: { url: `sqlite:${join(folder, "ringback.db")}` },
    environment: { ...upstream.environment, RETRY_SCHEDULE: "0s,1h" },
  });
  const rows = async () => (await service.client.list<Row>("/v1/audit?limit=200")).toReversed();
  return { upstream, receiver, service, rows };
}

/** A browser signed in with the key of the environment. */
async function signIn({ client }: InProcessService) {
  const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };
  const begun = await client.send("POST", "/dashboard/sign-in", new URLSearchParams({ api_key: apiKey }).toString(), form);
  const cookie = String(begun.headers["set-cookie"]).split(";", 1)[0] ?? "";
  const page = await client.send("GET", "/dashboard/hooks", undefined, { cookie, authorization: "" });
  const token = /name="token" value="([^"]+)"/.exec(page.text)?.[1] ?? "";
  return async (path: string, fields: Json = {}) => {
    const body = new URLSearchParams({ token, ...(fields as Record<string, string>) }).toString();
    const answer = await client.send("POST", path, body, { ...form, cookie, "x-forwarded-for": "198.51.100.7" });
    // What is shown once has a page of its own.
    expect([path, answer.status, answer.text === ""]).toEqual([path, answer.status === 200 ? 200 : 303, answer.status === 303]);
    return answer;
  };
}

/** What a page shows only once. */
const shownIn = (text: string) => [...text.matchAll(/<code class="secret">([^<]+)</g)].map(([, secret]) => secret ?? "");

/** Resolves with the id of the newest delivery to an endpoint once its attempt has failed. */
async function failedDelivery({ client }: InProcessService, endpointId: string): Promise<string> {
  const listed = () => client.list<{ id: string; attempt_count: number }>(`/v1/deliveries?endpoint_id=${endpointId}`);
  const found = await eventually(listed, ([newest]) => newest !== undefined && newest.attempt_count > 0);
  return found[0]?.id ?? "";
}

test("every changing route, form and command leaves its row, and no row holds what is secret", { timeout: 60_000 }, async () => {
  const { upstream, receiver, service, rows } = await startWorld();
  const { client } = service;
  const submit = await signIn(service);
  const ids: Record<string, string> = {};
  const shown: string[] = [];
  /** Sends a request that must succeed, and keeps an id of its answer. */
  const send = async (method: string, path: string, body?: unknown, keep?: string, headers = {}) => {
    const answer = await client.send(method, path, body, headers);
    expect([method, path, answer.text, answer.status < 300]).toEqual([method, path, answer.text, true]);
    if (keep !== undefined) ids[keep] = String(answer.body["id"]);
    for (const name of ["key", "signing_secret", "secret", "url"])
      if (typeof answer.body[name] === "string") shown.push(String(answer.body[name]));
    return answer;
  };
  const hook = (path: string) => ({
    url: `${receiver.url}${path}?token=s3cret-token`,
    headers: { "x-gate": headerValue },
    events: ["call.queued"],
  });
  const place = (key: string, call: Json) => client.post("/v1/calls", { call, callback_url: null }, { "idempotency-key": key });
  const command = (...args: readonly string[]) => service.command(args);
  const endpoint = () => `/v1/endpoints/${ids["endpoint"]}`;

  const byOperation: Readonly<Record<string, readonly Step[]>> = {
    createHook: [
      {
        name: "first",
        actions: ["hook.created"],
        run: () => send("POST", "/v1/hooks", hook("/hook"), "hook", { "idempotency-key": "hook" }),
      },
      { name: "replay", actions: [], run: () => send("POST", "/v1/hooks", hook("/hook"), "hook", { "idempotency-key": "hook" }) },
      { name: "repeat", actions: [], run: () => send("POST", "/v1/hooks", hook("/hook")) },
      { name: "for the form", actions: ["hook.created"], run: () => send("POST", "/v1/hooks", hook("/form"), "hookOfForm") },
      { name: "refused", actions: [], run: () => client.post("/v1/hooks", { url: "https://localhost/" }) },
    ],
    createWatch: [
      {
        name: "a call",
        actions: [],
        run: async () => {
          const watch = {
            call_sid: "OUT-sandbox-slow-1",
            source: "sandbox",
            callback_url: `${receiver.url}/watch`,
            events: ["call.queued"],
          };
          const { body } = await send("POST", "/v1/watches", watch, "watch");
          ids["endpoint"] = String(body["endpoint_id"]);
          ids["delivery"] = await failedDelivery(service, ids["endpoint"]);
        },
      },
      {
        name: "that enables its endpoint",
        actions: ["endpoint.changed", "endpoint.changed"],
        run: async () => {
          const watch = { source: "sandbox", callback_url: `${receiver.url}/enabled`, events: ["call.failure"] };
          const { body } = await send("POST", "/v1/watches", { call_sid: "OUT-sandbox-slow-4", ...watch });
          await send("PATCH", `/v1/endpoints/${String(body["endpoint_id"])}`, { state: "disabled" });
          await send("POST", "/v1/watches", { call_sid: "OUT-sandbox-slow-5", ...watch });
        },
      },
    ],
    createWatches: [
      {
        name: "a batch",
        actions: [],
        run: () =>
          send("POST", "/v1/watches/batch", { watches: [{ call_sid: "OUT-sandbox-slow-2", source: "sandbox", callback_url: null }] }),
      },
    ],
    patchWatch: [{ name: "metadata", actions: [], run: () => send("PATCH", `/v1/watches/${ids["watch"]}`, { metadata: { lead: "1" } }) }],
    patchEndpoint: [
      {
        name: "headers",
        actions: ["endpoint.changed"],
        run: () => send("PATCH", endpoint(), { headers: { "x-gate": headerValue }, late: "drop" }),
      },
      { name: "repeat", actions: [], run: () => send("PATCH", endpoint(), { late: "drop" }) },
      { name: "unknown", actions: [], run: () => client.patch("/v1/endpoints/ep_1", { late: "drop" }) },
    ],
    rotateSecret: [
      {
        name: "given",
        actions: ["endpoint.secret_rotated"],
        run: () => send("POST", `${endpoint()}/rotate-secret`, { signing_secret: secrets[0] }),
      },
    ],
    retryDelivery: [{ name: "now", actions: ["delivery.retried"], run: () => send("POST", `/v1/deliveries/${ids["delivery"]}/retry`) }],
    testEndpoint: [
      {
        name: "no change",
        actions: [],
        run: () =>
          eventually(
            () => client.post(`${endpoint()}/test`),
            ({ status }) => status === 200,
          ),
      },
    ],
    recoverEndpoint: [
      { name: "all", actions: ["endpoint.recovered"], run: () => send("POST", `${endpoint()}/recover`, { since: "2020-01-01T00:00:00Z" }) },
      {
        name: "nothing",
        actions: [],
        run: () => send("POST", `${endpoint()}/recover`, { since: "2020-01-01T00:00:00Z", until: "2020-01-02T00:00:00Z" }),
      },
    ],
    setDefaultSecret: [
      { name: "first", actions: ["account.secret_set"], run: () => send("PUT", "/v1/me/signing-secret", { signing_secret: secrets[1] }) },
      { name: "repeat", actions: [], run: () => send("PUT", "/v1/me/signing-secret", { signing_secret: secrets[1] }) },
    ],
    createPortalLink: [
      { name: "first", actions: ["portal_link.created"], run: () => send("POST", "/v1/portal-links", { can: "look" }, "link") },
      { name: "refused", actions: [], run: () => client.post("/v1/portal-links", { can: "place" }) },
    ],
    deletePortalLink: [
      { name: "first", actions: ["portal_link.revoked"], run: () => send("DELETE", `/v1/portal-links/${ids["link"]}`) },
      { name: "repeat", actions: [], run: () => send("DELETE", `/v1/portal-links/${ids["link"]}`) },
    ],
    createKey: [
      { name: "first", actions: ["key.created"], run: () => send("POST", "/v1/keys", { name: "crm", scopes: ["read"] }, "key") },
      { name: "refused", actions: [], run: () => client.post("/v1/keys", { name: "environment" }) },
    ],
    deleteKey: [
      { name: "first", actions: ["key.revoked"], run: () => send("DELETE", `/v1/keys/${ids["key"]}`) },
      { name: "repeat", actions: [], run: () => send("DELETE", `/v1/keys/${ids["key"]}`) },
    ],
    placeCall: [
      { name: "placed", actions: ["call.placed"], run: () => place("one", { to_number: number }) },
      { name: "repeat", actions: [], run: () => place("one", { to_number: number }) },
      {
        name: "refused",
        actions: [],
        run: () => {
          upstream.answer(answering(400, {}));
          return place("refused", { to_number: number });
        },
      },
      {
        name: "unknown",
        actions: [],
        run: async () => {
          upstream.answer(answering(500, {}));
          ids["placing"] = String((await place("unknown", { to_number: number })).body["placing_id"]);
          upstream.answer(placing("OUT-placed-2"));
        },
      },
    ],
    resolvePlacing: [
      {
        name: "first",
        actions: ["placing.resolved"],
        run: () => send("POST", `/v1/placings/${ids["placing"]}/resolve`, { call_sid: null }),
      },
      { name: "repeat", actions: [], run: () => client.post(`/v1/placings/${ids["placing"]}/resolve`, { call_sid: null }) },
    ],
    deleteWatch: [
      { name: "ended", actions: [], run: () => send("DELETE", `/v1/watches/${ids["watch"]}`) },
      { name: "purged", actions: ["watch.purged"], run: () => send("DELETE", `/v1/watches/${ids["watch"]}?purge=true`) },
      { name: "repeat", actions: [], run: () => client.delete(`/v1/watches/${ids["watch"]}?purge=true`) },
    ],
    deleteHook: [
      { name: "first", actions: ["hook.deleted"], run: () => send("DELETE", `/v1/hooks/${ids["hook"]}`) },
      { name: "repeat", actions: [], run: () => send("DELETE", `/v1/hooks/${ids["hook"]}`) },
    ],
  };

  const formKey = "dashboard-00000000-0000-4000-8000-000000000000";
  const keyed = (number: number) => ({ idempotency_key: formKey.replace(/.$/, String(number)) });
  /** A form of which a second click repeats the answer. */
  const twice = (path: () => string, action: string, fields: Json): readonly Step[] =>
    ["first", "second click"].map((name, click) => ({
      name,
      actions: click === 0 ? [action] : [],
      run: async () => void shown.push(...shownIn((await submit(path(), fields)).text)),
    }));
  const endpointOfForm = () => `/dashboard/endpoints/${ids["endpointOfForm"]}`;
  const settings = { format: "flat", late: "send", headers: `x-gate: ${headerValue}` };
  const bulk = async (since: string, until: string) => {
    const answer = await submit("/dashboard/endpoints/recover", { since, until });
    expect(answer.status).toBe(200);
  };
  const byForm: Readonly<Record<string, readonly Step[]>> = {
    "/dashboard/endpoints/:id/test": [
      {
        name: "no change",
        actions: [],
        run: async () => {
          const watch = {
            call_sid: "OUT-sandbox-slow-3",
            source: "sandbox",
            callback_url: `${receiver.url}/forms`,
            events: ["call.queued"],
          };
          const { body } = await send("POST", "/v1/watches", watch, "watchOfForm");
          ids["endpointOfForm"] = String(body["endpoint_id"]);
          ids["deliveryOfForm"] = await failedDelivery(service, ids["endpointOfForm"]);
          await submit(`/dashboard/endpoints/${ids["endpointOfForm"]}/test`);
        },
      },
    ],
    "/dashboard/endpoints/:id/state": [
      {
        name: "pause",
        actions: ["endpoint.changed"],
        run: () => submit(`/dashboard/endpoints/${ids["endpointOfForm"]}/state`, { state: "paused" }),
      },
      { name: "repeat", actions: [], run: () => submit(`/dashboard/endpoints/${ids["endpointOfForm"]}/state`, { state: "paused" }) },
    ],
    "/dashboard/endpoints/:id/recover": [
      {
        name: "all",
        actions: ["endpoint.recovered"],
        run: () => submit(`/dashboard/endpoints/${ids["endpointOfForm"]}/recover`, { since: "2020-01-01T00:00" }),
      },
    ],
    "/dashboard/endpoints/recover": [
      { name: "nothing", actions: [], run: () => bulk("2020-01-01T00:00", "2020-01-02T00:00") },
      { name: "all", actions: ["endpoint.recovered"], run: () => bulk("2020-01-01T00:00", "") },
    ],
    "/dashboard/endpoints/:id/edit": [
      { name: "settings", actions: ["endpoint.changed"], run: () => submit(`${endpointOfForm()}/edit`, settings) },
      { name: "repeat", actions: [], run: () => submit(`${endpointOfForm()}/edit`, settings) },
      { name: "hand-made, without its fields", actions: [], run: () => submit(`${endpointOfForm()}/edit`) },
    ],
    "/dashboard/endpoints/:id/rotate": twice(() => `${endpointOfForm()}/rotate`, "endpoint.secret_rotated", {
      grace_seconds: "0",
      ...keyed(1),
    }),
    "/dashboard/hooks": twice(() => "/dashboard/hooks", "hook.created", {
      url: `${receiver.url}/subscribed`,
      where: "status is failure",
      headers: `x-gate: ${headerValue}`,
      ...keyed(2),
    }),
    "/dashboard/keys": twice(() => "/dashboard/keys", "key.created", { name: "by form", scopes: "read", ...keyed(3) }),
    "/dashboard/keys/:id/revoke": [
      {
        name: "first",
        actions: ["key.revoked"],
        run: async () => {
          ids["keyOfForm"] = (await client.list<{ id: string; name: string }>("/v1/keys")).find(({ name }) => name === "by form")?.id ?? "";
          await submit(`/dashboard/keys/${ids["keyOfForm"]}/revoke`);
        },
      },
      { name: "repeat", actions: [], run: () => submit(`/dashboard/keys/${ids["keyOfForm"]}/revoke`) },
    ],
    "/dashboard/portal-links": twice(() => "/dashboard/portal-links", "portal_link.created", {
      can: "look",
      expires_in: "900",
      ...keyed(4),
    }),
    "/dashboard/portal-links/:id/revoke": [
      {
        name: "first",
        actions: ["portal_link.revoked"],
        run: async () => {
          ids["linkOfForm"] = (await client.list<{ id: string }>("/v1/portal-links"))[0]?.id ?? "";
          await submit(`/dashboard/portal-links/${ids["linkOfForm"]}/revoke`);
        },
      },
      { name: "repeat", actions: [], run: () => submit(`/dashboard/portal-links/${ids["linkOfForm"]}/revoke`) },
    ],
    "/dashboard/calls/:id/resolve": [
      {
        name: "nothing rang",
        actions: ["placing.resolved"],
        run: async () => {
          upstream.answer(answering(500, {}));
          const { placing_id: id } = (await place("unknown-to-the-form", { to_number: number })).body;
          await submit(`/dashboard/calls/${String(id)}/resolve`, { outcome: "silent" });
        },
      },
    ],
    // Renders without a change.
    "/dashboard/endpoints/:id/preview": [],
    "/dashboard/deliveries/:id/retry": [
      {
        name: "now",
        actions: ["delivery.retried"],
        run: () =>
          eventually(
            () =>
              submit(`/dashboard/deliveries/${ids["deliveryOfForm"]}/retry`).then(
                () => true,
                () => false,
              ),
            (isDone) => isDone,
          ),
      },
    ],
    "/dashboard/watches": [
      {
        name: "registered",
        actions: [],
        run: () => submit("/dashboard/watches", { call_sid: "OUT-sandbox-slow-form", source: "sandbox" }),
      },
    ],
    "/dashboard/calls": (["call.placed", null] as const).map((action) => ({
      name: action ?? "repeat",
      actions: action === null ? [] : [action],
      run: () => submit("/dashboard/calls", { scenario: "success", idempotency_key: formKey }),
    })),
    "/dashboard/watches/:id/edit": [
      {
        name: "metadata",
        actions: [],
        run: () => submit(`/dashboard/watches/${ids["watchOfForm"]}/edit`, { metadata: "lead=2" }),
      },
    ],
    "/dashboard/signing-secret": twice(() => "/dashboard/signing-secret", "account.secret_set", keyed(5)),
    "/dashboard/watches/:id/delete": [
      { name: "ended", actions: [], run: () => submit(`/dashboard/watches/${ids["watchOfForm"]}/delete`) },
      {
        name: "purged",
        actions: ["watch.purged"],
        run: () => submit(`/dashboard/watches/${ids["watchOfForm"]}/delete`, { purge: "true" }),
      },
    ],
    "/dashboard/hooks/:id/delete": [
      { name: "first", actions: ["hook.deleted"], run: () => submit(`/dashboard/hooks/${ids["hookOfForm"]}/delete`) },
    ],
    "/dashboard/sign-in": [],
    "/dashboard/sign-out": [],
  };

  const source = ["source", "set", "own", "--account", "default", "--base-url", "https://api.example"];
  const byCommand: Readonly<Record<string, readonly Step[]>> = {
    "account set": [
      { name: "first", actions: ["account.changed"], run: () => command("account", "set", "default", "--place-to", "+44") },
      { name: "repeat", actions: [], run: () => command("account", "set", "default", "--place-to", "+44") },
    ],
    "account create": [{ name: "another account", actions: [], run: () => command("account", "create", "acme") }],
    "account disable": [
      {
        name: "and enable",
        actions: ["account.disabled", "account.enabled"],
        run: async () => {
          await command("account", "disable", "default");
          await command("account", "enable", "default");
          await eventually(
            () => client.get("/v1/me"),
            ({ status }) => status === 200,
          );
        },
      },
    ],
    "account enable": [{ name: "repeat", actions: [], run: () => command("account", "enable", "default") }],
    "account remove": [{ name: "another account", actions: [], run: () => command("account", "remove", "acme", "--yes") }],
    "key create": [{ name: "first", actions: ["key.created"], run: () => command("key", "create", "default", "--name", "by command") }],
    "key revoke": [
      {
        name: "first",
        actions: ["key.revoked"],
        run: async () => {
          const listed = await client.list<{ id: string; name: string }>("/v1/keys");
          ids["keyOfCommand"] = listed.find(({ name }) => name === "by command")?.id ?? "";
          await command("key", "revoke", ids["keyOfCommand"]);
        },
      },
      { name: "repeat", actions: [], run: () => command("key", "revoke", ids["keyOfCommand"] ?? "") },
    ],
    "source set": [
      { name: "first", actions: ["source.changed"], run: () => command(...source, "--credential", credential) },
      { name: "repeat", actions: [], run: () => command(...source, "--credential", credential) },
      { name: "changed", actions: ["source.changed"], run: () => command(...source, "--credential", `${credential}-2`) },
    ],
    "source remove": [{ name: "first", actions: ["source.removed"], run: () => command("source", "remove", "own") }],
  };
  /** Commands that change nothing of an account, or another service. */
  const others = [
    "serve",
    "migrate",
    "account list",
    "key list",
    "source list",
    "source check",
    "watch",
    "listen",
    "verify",
    "simulate",
    "reencrypt",
    "backup",
    "openapi",
    "doctor",
    "mcp",
    "completion",
  ];

  // Nothing that changes something is missing here.
  const { paths } = (await client.get("/openapi.json")).body as { paths: Record<string, Record<string, { operationId: string }>> };
  const operations = Object.values(paths).flatMap((item) =>
    Object.entries(item).flatMap(([method, { operationId }]) => (method === "get" ? [] : [operationId])),
  );
  // One only renders, and what a tool does is an operation of its own.
  const changing = operations.filter((name) => name !== "previewTemplate" && name !== "sendMcpMessage");
  expect(changing.toSorted()).toEqual(Object.keys(byOperation).toSorted());
  const forms = createTestApi().app.routes.filter(({ method, path }) => method === "POST" && path.startsWith("/dashboard/"));
  expect([...new Set(forms.map(({ path }) => path))].toSorted()).toEqual(Object.keys(byForm).toSorted());
  const help = (await runCommand(["--help"])).out;
  const commands = [...help.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}/gm)].map(([, name]) => name);
  expect(commands.toSorted()).toEqual([...others, ...Object.keys(byCommand)].toSorted());

  const actorOf = { operation: "key", form: "dashboard", command: "command_line" } as const;
  const steps = [
    ...Object.entries(byOperation).map(([name, list]) => ["operation", name, list] as const),
    ...Object.entries(byForm).map(([name, list]) => ["form", name, list] as const),
    ...Object.entries(byCommand).map(([name, list]) => ["command", name, list] as const),
  ];
  // The ids of a command and of the service have one order to the second.
  const seen = new Set((await rows()).map(({ id }) => id));
  for (const [kind, what, list] of steps)
    for (const { name, actions, run } of list) {
      await run();
      const fresh = (await rows()).filter(({ id }) => !seen.has(id));
      expect([what, name, fresh.map(({ action, actor }) => [action, actor["kind"]])]).toEqual([
        what,
        name,
        actions.map((action) => [action, actorOf[kind]]),
      ]);
      for (const { id } of fresh) seen.add(id);
    }

  const all = await rows();
  const text = JSON.stringify(all);
  for (const secret of [
    ...secrets,
    ...shown,
    apiKey,
    headerValue,
    credential,
    "s3cret",
    number,
    number.slice(1),
    receiver.url.slice(0, -1) + "/hook",
  ])
    expect([secret, text.includes(secret)]).toEqual([secret, false]);
  expect(all.find(({ action }) => action === "call.placed")?.["detail"]).toMatchObject({
    number_ends: number.slice(-4),
    source: "default",
  });
  for (const row of all) {
    const { actor } = row;
    if (actor["kind"] === "command_line") expect([actor["id"], row["address"], row["forwarded_for"]]).toEqual([null, null, null]);
    else
      expect([actor["name"], row["address"], row["forwarded_for"]]).toEqual([
        "environment",
        "127.0.0.1",
        actor["kind"] === "dashboard" ? "198.51.100.7" : null,
      ]);
  }
});

test("GET /v1/audit takes since, until and action, and refuses an unknown action", async () => {
  const { client } = await startService();
  await client.post("/v1/keys", { name: "crm" });
  const [row] = await client.list<Json>("/v1/audit?action=key.created");
  const at = encodeURIComponent(String(row?.["at"]));
  expect(await client.list(`/v1/audit?since=${at}&until=${at}`)).toEqual([row]);
  expect(await client.list(`/v1/audit?until=2020-01-01T00:00:00Z`)).toEqual([]);
  expect(await client.list("/v1/audit?action=key.revoked")).toEqual([]);
  expect((await client.get("/v1/audit?action=key.made")).status).toBe(422);
  expect((await client.get("/v1/audit?since=yesterday")).status).toBe(422);
});

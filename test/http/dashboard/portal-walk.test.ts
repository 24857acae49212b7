import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../../src/cli/receiver/receiver.ts";
import type { Client, Json } from "../../harness/service/client.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { startService } from "../../harness/service/service.ts";
import { createTestApi } from "../test-api.ts";
import { linksOf } from "./page-text.ts";

const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };
const mostPages = 150;

/** Forms of a portal but those of its session, with an id in place of the parameter. */
const posts = createTestApi()
  .app.routes.filter(({ method, path }) => method === "POST" && path.startsWith("/portal/:link/"))
  .map(({ path }) => path.slice("/portal/:link".length))
  .filter((path) => path !== "/open" && path !== "/sign-out");

/** An account with something of everything. `mark` is in every text that the account may choose, and `secret` in what it keeps. */
async function fill(
  client: Client,
  receiverUrl: string,
  mark: string,
): Promise<{ readonly ids: readonly string[]; readonly secrets: readonly string[] }> {
  const made: Json[] = [];
  const post = async (path: string, body: Json, headers = {}) => {
    const answer = await client.post(path, body, headers);
    expect([path, answer.text, answer.status]).toEqual([path, answer.text, 201]);
    made.push(answer.body);
    return answer.body;
  };
  const headers = { "x-gate": `header of ${mark}` };
  const watch = await post("/v1/watches", {
    call_sid: `OUT-sandbox-slow-${mark}`,
    source: "sandbox",
    callback_url: `${receiverUrl}/${mark}`,
    headers,
    metadata: { said: mark },
  });
  await post("/v1/hooks", { url: `${receiverUrl}/hook-${mark}`, headers, where: { "metadata.said": mark } });
  await post("/v1/calls", { source: "sandbox", call: { scenario: "slow" }, callback_url: null }, { "idempotency-key": `placed-${mark}` });
  await post("/v1/keys", { name: `key of ${mark}` });
  await post("/v1/portal-links", { can: "look" });
  await client.patch(`/v1/endpoints/${String(watch["endpoint_id"])}`, { request: { method: "POST", body: { at: "{{timestamp}}" } } });
  await eventually(
    () => client.list<{ attempt_count: number }>("/v1/deliveries"),
    (deliveries) => deliveries.filter(({ attempt_count: count }) => count > 0).length > 1,
  );
  const secrets = made.flatMap(({ signing_secret: signing, secret, key, url }) => [
    signing,
    secret,
    key,
    key === undefined ? undefined : url,
  ]);
  return {
    ids: made.map(({ id }) => String(id)),
    secrets: [...secrets.filter((text) => typeof text === "string"), headers["x-gate"]],
  };
}

/** A browser in the session of a new link. */
async function open(client: Client, can: "look" | "operate") {
  const { id, url } = (await client.post("/v1/portal-links", { can })).body as { readonly id: string; readonly url: string };
  const base = `/portal/${id}`;
  const token = new URL(url).searchParams.get("token") ?? "";
  const opened = await client.send("POST", `${base}/open`, new URLSearchParams({ link_token: token }).toString(), form);
  const cookie = String(opened.headers["set-cookie"]).split(";", 1)[0] ?? "";
  const get = (path: string) => client.send("GET", path, undefined, { cookie, authorization: "" });
  const formToken = /name="token" value="([^"]+)"/.exec((await get(`${base}/`)).text)?.[1] ?? "";
  const post = (path: string, fields: Readonly<Record<string, string>> = {}) =>
    client.send("POST", `${base}${path}`, new URLSearchParams({ token: formToken, ...fields }).toString(), { ...form, cookie });
  return { id, token, base, get, post };
}

test(
  "a portal shows no secret, no key and nothing of another account on any page, and to look changes nothing",
  { timeout: 60_000 },
  async () => {
    const receiver = await startReceiver({ answers: () => 500 });
    onTestFinished(() => receiver.close());
    const service = await startService({ database: "sqlite-file", environment: { RETRY_SCHEDULE: "0s,1h", API_MAX_PER_SECOND: "0" } });
    const first = await service.createAccount("first");
    const other = await service.createAccount("other");
    const own = await fill(first.client, receiver.url, "mine");
    const foreign = await fill(other.client, receiver.url, "theirs");
    const forbidden = [...own.secrets, ...foreign.secrets, ...foreign.ids, "theirs", first.key, other.key, first.key_id, other.account_id];

    for (const can of ["look", "operate"] as const) {
      const { id, token, base, get, post } = await open(first.client, can);
      const paths = [`${base}/`];
      const forms = new Set<string>();
      for (let index = 0; index < paths.length; index++) {
        const path = paths[index] ?? "";
        const { status, text } = await get(path);
        expect([path, status]).toEqual([path, 200]);
        for (const secret of [...forbidden, token]) expect([path, secret, text.includes(secret)]).toEqual([path, secret, false]);
        expect([path, /whsec_[A-Za-z0-9+/]|\brb_[0-9a-z]{8}/.exec(text)]).toEqual([path, null]);
        const links = linksOf(text).filter((link) => !link.startsWith("#"));
        expect([path, links.filter((link) => !link.startsWith(`${base}/`))]).toEqual([path, []]);
        for (const [, action = ""] of text.matchAll(/<form method="post" action="([^"]+)"/g)) forms.add(action.slice(base.length));
        paths.push(...new Set(links.map((link) => link.split("#", 1)[0] ?? "").filter((link) => !paths.includes(link))));
        expect(paths.length).toBeLessThan(mostPages);
      }
      for (const page of ["watches", "calls", "deliveries", "endpoints", "hooks", "sources"]) {
        expect(paths).toContain(`${base}/${page}`);
        expect(paths).toContain(`${base}/${page}.csv`);
      }
      // What only a key may see is not there, even if its address is known.
      for (const path of ["/keys", "/keys.csv", "/portal-links", "/audit", "/audit.csv", "/operator", "/operator/audit"])
        expect([path, (await get(base + path)).status]).toEqual([path, path.startsWith("/operator") ? 404 : 403]);
      const actions = [...forms].map((path) => path.replaceAll(/\/(?:wch|dlv|ep|hk)_[^/]+/g, "/:id"));
      if (can === "look") {
        expect(actions).toEqual(["/sign-out"]);
        for (const path of posts) expect([path, (await post(path.replace(":id", own.ids[0] ?? ""))).status]).toEqual([path, 403]);
        continue;
      }
      expect([...new Set(actions)].toSorted()).toEqual([
        "/deliveries/:id/retry",
        "/endpoints/:id/edit",
        "/endpoints/:id/recover",
        "/endpoints/:id/state",
        "/endpoints/:id/test",
        "/endpoints/recover",
        "/hooks",
        "/hooks/:id/delete",
        "/sign-out",
        "/watches",
        "/watches/:id/delete",
      ]);
      // No secret is set or shown, and neither a call nor a key is made.
      const [endpointId = ""] = (await first.client.list<{ id: string }>("/v1/endpoints")).map((endpoint) => endpoint.id);
      const key = { idempotency_key: "dashboard-00000000-0000-4000-8000-000000000000" };
      for (const [path, fields] of [
        [`/endpoints/${endpointId}/rotate`, {}],
        [`/endpoints/${endpointId}/edit`, { format: "flat", headers: "x-gate: mine" }],
        ["/hooks", { ...key, url: `${receiver.url}/new`, signing_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }],
        ["/calls", { ...key, scenario: "success" }],
        ["/calls/plc_1/resolve", { outcome: "silent" }],
        ["/keys", { ...key, name: "more", scopes: "read" }],
        ["/portal-links", { ...key, can: "look" }],
        [`/portal-links/${id}/revoke`, {}],
      ] as const)
        expect([path, (await post(path, fields)).status]).toEqual([path, 403]);
      const created = await post("/hooks", { ...key, url: `${receiver.url}/new`, where: "status is failure" });
      expect([created.status, created.headers["location"], created.text]).toEqual([303, `${base}/hooks?notice=hook-created-endpoint`, ""]);
    }
  },
);

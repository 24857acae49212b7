import { request } from "undici";
import { describe, expect, test } from "vitest";
import type { Answer, Client } from "../harness/service/client.ts";
import { problemOf } from "../harness/service/client.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { hour, minute, second } from "../harness/store-drafts.ts";

const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };

/** A browser without a key, which keeps the cookie of one portal. */
class Visitor {
  readonly #client: Client;
  cookie = "";

  constructor(client: Client) {
    this.#client = client;
  }

  get(path: string): Promise<Answer> {
    return this.#client.send("GET", path, undefined, { authorization: "", cookie: this.cookie });
  }

  async post(path: string, fields: Readonly<Record<string, string>>): Promise<Answer> {
    const answer = await this.#client.send("POST", path, new URLSearchParams(fields).toString(), { ...form, cookie: this.cookie });
    const cookie = String(answer.headers["set-cookie"] ?? "").split(";", 1)[0] ?? "";
    if (cookie !== "") this.cookie = cookie;
    return answer;
  }

  /** Follows a link and presses its button. */
  async open(url: string): Promise<Answer> {
    const page = await this.get(pathOf(url));
    expect(page.status).toBe(200);
    const token = /name="link_token" value="([^"]+)"/.exec(page.text)?.[1] ?? "";
    const action = /<form method="post" action="([^"]+)"/.exec(page.text)?.[1] ?? "";
    return this.post(action, { link_token: token });
  }
}

const pathOf = (url: string) => new URL(url).pathname + new URL(url).search;
const linksIn = (text: string) => [...text.matchAll(/(?:href|action)="([^"#]*)"/g)].map(([, path]) => path ?? "");
const formsIn = (text: string) => [...text.matchAll(/<form method="post" action="([^"]+)"/g)].map(([, action]) => action ?? "");

async function linkTo(client: Client, body: Readonly<Record<string, unknown>>) {
  const answer = await client.post("/v1/portal-links", body);
  expect([answer.status, answer.text]).toEqual([201, answer.text]);
  return answer.body as { readonly id: string; readonly url: string; readonly expires_at: string };
}

describe("a portal link", () => {
  test("opens one session by its button, below its path, which shows no secret", async () => {
    const service = await ServiceWorld.start();
    const { client } = service;
    const receiver = await service.receive(() => 500);
    const delivery = await service.firstAttempt(receiver.url());
    const link = await linkTo(client, { can: "look" });
    expect(link).toMatchObject({ can: "look", expires_at: new Date(service.clock.nowMs() + hour).toISOString() });
    expect(new URL(link.url).origin).toBe(service.service.url);
    const visitor = new Visitor(client);
    // A preview does not use it up.
    for (let n = 0; n < 2; n++) expect((await visitor.get(pathOf(link.url))).headers["set-cookie"]).toBeUndefined();
    expect((await visitor.get(`/portal/${link.id}/open?token=wrong`)).status).toBe(404);
    const opened = await visitor.open(link.url);
    expect([opened.status, opened.headers["location"]]).toEqual([303, `/portal/${link.id}/`]);
    expect(String(opened.headers["set-cookie"])).toMatch(new RegExp(`Path=/portal/${link.id}/; HttpOnly; SameSite=Lax`));
    const base = `/portal/${link.id}`;
    const pages = [
      "/",
      "/watches",
      `/watches/${delivery.watch_id}`,
      `/deliveries/${delivery.id}`,
      `/endpoints/${delivery.endpoint_id}`,
      "/hooks",
      "/endpoints",
      "/events",
      `/find?q=${(await client.get("/v1/hooks")).text.match(/hk_\w+/)?.[0] ?? "none"}`,
    ].filter((path) => path !== "/find?q=none");
    for (const path of pages) {
      const { status, text } = await visitor.get(base + path);
      expect([path, status]).toEqual([path, 200]);
      expect([path, linksIn(text).filter((to) => !to.startsWith(`${base}/`))]).toEqual([path, []]);
      expect([path, formsIn(text)]).toEqual([path, [`${base}/sign-out`]]);
      expect(text).not.toMatch(/whsec_|rb_|api_key/);
    }
    expect((await visitor.get(`${base}/watches.csv`)).headers["content-type"]).toContain("text/csv");
    // A key's dashboard is another one.
    expect((await visitor.get("/dashboard")).status).toBe(401);
    const { text } = await visitor.get(`${base}/hooks`);
    const token = /name="token" value="([^"]+)"/.exec(text)?.[1] ?? "";
    for (const path of [
      `/endpoints/${delivery.endpoint_id}/state`,
      `/deliveries/${delivery.id}/retry`,
      `/watches/${delivery.watch_id}/delete`,
      "/watches",
      "/no-page",
      "/",
      "/calls",
    ])
      expect([path, (await visitor.post(base + path, { token, state: "paused" })).status]).toEqual([path, 403]);
    // Used up: another browser gets a page that says so.
    const late = await new Visitor(client).get(pathOf(link.url));
    expect([late.status, late.text.includes("was used")]).toEqual([410, true]);
    expect(service.lines.some((line) => JSON.stringify(line).includes(pathOf(link.url).split("=")[1] ?? "?"))).toBe(false);
  });

  test("that may operate changes watches and endpoints, as its own actor, with the token of its session", async () => {
    const service = await ServiceWorld.start();
    const { client } = service;
    const receiver = await service.receive(() => 500);
    const delivery = await service.firstAttempt(receiver.url());
    const link = await linkTo(client, { can: "operate" });
    const visitor = new Visitor(client);
    await visitor.open(link.url);
    const base = `/portal/${link.id}`;
    const { text } = await visitor.get(`${base}/endpoints/${delivery.endpoint_id}`);
    expect(formsIn(text)).toContain(`${base}/endpoints/${delivery.endpoint_id}/state`);
    const token = /name="token" value="([^"]+)"/.exec(text)?.[1] ?? "";
    // A call is placed with a key alone.
    expect(formsIn((await visitor.get(`${base}/watches/new`)).text).toSorted()).toEqual([`${base}/sign-out`, `${base}/watches`]);
    expect((await visitor.post(`${base}/calls`, { token, scenario: "success" })).status).toBe(403);
    const refused = await visitor.post(`${base}/watches`, { token, call_sid: "OUT-sandbox-slow-1", source: "sandbox", callback_url: "x" });
    // The form again, with what was typed.
    expect([refused.status, formsIn(refused.text)]).toEqual([422, expect.arrayContaining([`${base}/watches`])]);
    expect(refused.text).toContain('value="OUT-sandbox-slow-1"');
    const pause = (given: string) => visitor.post(`${base}/endpoints/${delivery.endpoint_id}/state`, { token: given, state: "paused" });
    expect((await pause("forged")).status).toBe(403);
    const paused = await pause(token);
    expect([paused.status, paused.headers["location"]]).toEqual([303, `${base}/endpoints/${delivery.endpoint_id}?notice=endpoint-paused`]);
    const [row] = await client.list("/v1/audit?action=endpoint.changed");
    expect(row).toMatchObject({ actor: { kind: "portal", id: link.id }, address: "127.0.0.1" });
  });

  test("ends by request at once, by time, and with its key", async () => {
    const service = await ServiceWorld.start();
    const { client } = service;
    const [first, brief] = [await linkTo(client, { can: "look" }), await linkTo(client, { can: "look", expires_in: 60 })];
    const open = async (url: string) => {
      const visitor = new Visitor(client);
      await visitor.open(url);
      return visitor;
    };
    const [ended, expired] = [await open(first.url), await open(brief.url)];
    const page = (await ended.get(`/portal/${first.id}/`)).text;
    const path = / data-stream="([^"]+)"/.exec(page)?.[1] ?? "";
    expect([path, / src="([^"]+)"/.exec(page)?.[1]]).toEqual([
      `/portal/${first.id}/live`,
      expect.stringContaining(`/portal/${first.id}/live-`),
    ]);
    const stream = await request(`${service.service.url}${path}`, { headers: { cookie: ended.cookie } });
    expect([stream.statusCode, stream.headers["content-type"]]).toEqual([200, "text/event-stream"]);
    expect((await client.delete(`/v1/portal-links/${first.id}`)).status).toBe(204);
    await service.clock.advance(5 * second);
    expect(await stream.body.text()).toMatch(/^: open\n/);
    const gone = await ended.get(`/portal/${first.id}/`);
    expect([gone.status, gone.text.includes("was revoked")]).toEqual([410, true]);
    expect((await client.delete(`/v1/portal-links/${first.id}`)).status).toBe(204);
    expect((await client.delete("/v1/portal-links/ptl_00000000000")).status).toBe(404);
    await service.leap(minute);
    const over = await expired.get(`/portal/${brief.id}/`);
    expect([over.status, over.text.includes("has expired")]).toEqual([410, true]);
    const key = (await client.post("/v1/keys", { name: "crm" })).body;
    const keyed = await linkTo(service.service.clientOf(String(key["key"])), { can: "operate" });
    const visitor = await open(keyed.url);
    expect((await visitor.get(`/portal/${keyed.id}/`)).status).toBe(200);
    await client.delete(`/v1/keys/${String(key["id"])}`);
    expect((await visitor.get(`/portal/${keyed.id}/`)).status).toBe(410);
    const listed = await client.list("/v1/portal-links");
    expect(listed.map(({ id }) => id)).toEqual([keyed.id, brief.id, first.id]);
    expect(JSON.stringify(listed)).not.toContain("url");
  });

  test("can no more than the key that makes it, and ends no later", async () => {
    const service = await ServiceWorld.start();
    const { client, clock } = service;
    const expires_at = new Date(clock.nowMs() + 30 * second).toISOString();
    const { key } = (await client.post("/v1/keys", { name: "limited", scopes: ["admin", "watch"], expires_at })).body;
    const limited = service.service.clientOf(String(key));
    const refused = await limited.post("/v1/portal-links", { can: "operate" });
    expect([refused.status, problemOf(refused)["scope"]]).toEqual([403, "endpoints"]);
    expect(await linkTo(limited, { can: "look" })).toMatchObject({ expires_at });
  });

  test("names the only origins that may frame it", async () => {
    const service = await ServiceWorld.start({ PUBLIC_URL: "https://ringback.example.com" });
    const { client } = service;
    const framed = await linkTo(client, { can: "look", frame_ancestors: ["https://crm.example.com", "https://b.example:8443"] });
    expect(framed.url).toMatch(/^https:\/\/ringback\.example\.com\/portal\/ptl_/);
    const visitor = new Visitor(client);
    const page = await visitor.get(pathOf(framed.url));
    expect(page.headers["content-security-policy"]).toContain("frame-ancestors https://crm.example.com https://b.example:8443");
    expect(page.headers["x-frame-options"]).toBeUndefined();
    expect(String((await visitor.open(framed.url)).headers["set-cookie"])).toMatch(
      /Secure.*SameSite=None.*Partitioned|SameSite=None.*Secure.*Partitioned|Secure; SameSite=None/,
    );
    // A browser deletes a cookie of a frame only with the attributes that it was set with.
    const token = /name="token" value="([^"]+)"/.exec((await visitor.get(`/portal/${framed.id}/`)).text)?.[1] ?? "";
    const signedOut = await visitor.post(`/portal/${framed.id}/sign-out`, { token });
    expect([signedOut.status, signedOut.headers["clear-site-data"]]).toEqual([303, '"cache"']);
    const cleared = String(signedOut.headers["set-cookie"]).split("; ");
    expect(cleared).toEqual(
      expect.arrayContaining(["ringback_portal=", "Max-Age=0", `Path=/portal/${framed.id}/`, "Secure", "SameSite=None", "Partitioned"]),
    );
    const other = await linkTo(client, { can: "look" });
    const plain = await visitor.get(pathOf(other.url));
    expect([plain.headers["x-frame-options"], String(plain.headers["content-security-policy"]).includes("frame-ancestors 'none'")]).toEqual(
      ["DENY", true],
    );
    for (const origin of [
      "http://crm.example.com",
      "https://crm.example.com/",
      "https://crm.example.com/x",
      "*",
      "https://a.example; script-src *",
      "https://*.example.com",
    ])
      expect([origin, (await client.post("/v1/portal-links", { can: "look", frame_ancestors: [origin] })).status]).toEqual([origin, 422]);
    const nine = Array.from({ length: 9 }, (_, n) => `https://${n}.example.com`);
    expect((await client.post("/v1/portal-links", { can: "look", frame_ancestors: nine })).status).toBe(422);
  });

  test("cannot be framed where PUBLIC_URL is plain http", async () => {
    const service = await ServiceWorld.start({ PUBLIC_URL: "http://ringback.example.com" });
    const answer = await service.client.post("/v1/portal-links", { can: "look", frame_ancestors: ["https://crm.example.com"] });
    expect([answer.status, problemOf(answer).errors?.[0]?.pointer]).toEqual([422, "/frame_ancestors"]);
  });
});

import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { startCallbacks } from "../../harness/receivers/callbacks.ts";
import type { Client } from "../../harness/service/client.ts";
import { apiKey } from "../../harness/service/environment.ts";
import { startService } from "../../harness/service/service.ts";
import { textOf } from "./page-text.ts";

const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const valueOf = (text: string, name: string) => new RegExp(`name="${name}"\\s[^>]*?value="([^"]*)"`).exec(text)?.[1] ?? null;
const areaOf = (text: string, name: string) =>
  new RegExp(`<textarea[^>]*name="${name}"[^>]*>\\n?([^<]*)</textarea>`).exec(text)?.[1] ?? null;
const faultOf = (text: string, id: string) => {
  const [, fault = ""] = new RegExp(`<div id="${id}_fault" class="fault">(.*?)</div>`, "s").exec(text) ?? [];
  return fault.replaceAll(/<[^>]+>/g, " ").trim();
};

const shownIn = (text: string) => /whsec_[A-Za-z0-9+/=]+/.exec(text)?.[0];

async function signIn({ send }: Client, key = apiKey) {
  const begun = await send("POST", "/dashboard/sign-in", new URLSearchParams({ api_key: key }).toString(), form);
  const browser = { cookie: String(begun.headers["set-cookie"]).split(";", 1)[0] ?? "", authorization: "" };
  const get = (path: string) => send("GET", path, undefined, browser);
  const token = valueOf((await get("/dashboard/hooks")).text, "token") ?? "";
  const submit = (path: string, fields: Readonly<Record<string, string>>) =>
    send("POST", path, new URLSearchParams({ token, ...fields }).toString(), { ...form, ...browser });
  return { get, submit };
}

/** A watch of a call that goes on, sent to a receiver. */
async function watched({ client }: { readonly client: Client }, receiver: string) {
  const metadata = { lead_id: "00Q5g000", note: "a=b" };
  const answer = await client.post("/v1/watches", { call_sid: "OUT-sandbox-slow-1", source: "sandbox", callback_url: receiver, metadata });
  expect([answer.status, answer.text]).toEqual([201, answer.text]);
  return { id: String(answer.body["id"]), endpointId: String(answer.body["endpoint_id"]), expiresAt: String(answer.body["expires_at"]) };
}

test("metadata and deadline of a watch are changed by a form, which is shown again with its faults", async () => {
  const service = await startService();
  const { client } = service;
  const receiver = await startCallbacks();
  const { id, expiresAt } = await watched(service, receiver.url("/calls"));
  const { get, submit } = await signIn(client);
  const path = `/dashboard/watches/${id}`;
  const read = async () => (await client.get(`/v1/watches/${id}`)).body;
  expect((await get(path)).text).toContain(`href="${path}/edit"`);
  const { text } = await get(`${path}/edit`);
  const shown = { metadata: areaOf(text, "metadata") ?? "", expires_at: valueOf(text, "expires_at") ?? "" };
  expect(shown).toEqual({ metadata: "lead_id=00Q5g000\nnote=a=b", expires_at: expiresAt.slice(0, 16) });

  // Sent as it was shown, it changes nothing: the deadline keeps its seconds.
  expect((await submit(`${path}/edit`, shown)).status).toBe(303);
  expect(await read()).toMatchObject({ metadata: { lead_id: "00Q5g000", note: "a=b" }, expires_at: expiresAt });

  const until = new Date(Date.parse(expiresAt) - 3_600_000).toISOString();
  const saved = await submit(`${path}/edit`, { metadata: '{"two":"lines\\nof text"}', expires_at: until.slice(0, 16) });
  expect([saved.status, saved.headers["location"]]).toEqual([303, `${path}?notice=watch-changed`]);
  expect(textOf((await get(String(saved.headers["location"]))).text)).toContain("The watch was changed");
  expect(await read()).toMatchObject({ metadata: { two: "lines\nof text" }, expires_at: `${until.slice(0, 16)}:00.000Z` });
  // Lines would not say a value of two lines.
  expect(areaOf((await get(`${path}/edit`)).text, "metadata")).toContain("{\n  &quot;two&quot;: &quot;lines\\nof text&quot;\n}");

  for (const [fields, field, fault] of [
    [{ metadata: "lead_id" }, "metadata", "must have one pair a line, as in lead_id=00Q5g000"],
    [{ metadata: '{"a":1}' }, "metadata", "must be a JSON object of texts"],
    [{ metadata: "a b=1" }, "metadata", "a b"],
    [{ metadata: "a=1", expires_at: "soon" }, "expires_at", "must be a time as in 2026-11-24T12:00"],
    [{ metadata: "a=1", expires_at: "2020-01-01T00:00" }, "expires_at", "future"],
  ] as const) {
    const answer = await submit(`${path}/edit`, { expires_at: "", ...fields });
    expect([fields, answer.status, faultOf(answer.text, field)]).toEqual([fields, 422, expect.stringContaining(fault)]);
    expect(areaOf(answer.text, "metadata")?.replaceAll("&quot;", '"')).toBe(fields.metadata);
    // A page without an address of its own does not fetch itself again.
    expect(answer.text).not.toContain("data-stream");
  }
  expect(await read()).toMatchObject({ metadata: { two: "lines\nof text" } });
  expect((await submit("/dashboard/watches/wch_unknown/edit", { metadata: "" })).status).toBe(404);
  await client.send("DELETE", `/v1/watches/${id}`);
  expect((await submit(`${path}/edit`, { metadata: "" })).status).toBe(409);
  expect([(await get(`${path}/edit`)).status, (await get(path)).text.includes(`${path}/edit`)]).toEqual([409, false]);
  const { key } = (await client.post("/v1/keys", { name: "reader", scopes: ["read"] })).body;
  const reader = await signIn(client, String(key));
  expect([(await reader.get(`${path}/edit`)).status, (await reader.submit(`${path}/edit`, { metadata: "" })).status]).toEqual([403, 403]);
});

test("the signing secret of new endpoints is set by a form of admin keys, shown once, and never in a portal", async () => {
  const { client } = await startService();
  const { get, submit } = await signIn(client);
  const path = "/dashboard/signing-secret";
  expect((await get("/dashboard")).text).toContain(`href="${path}"`);
  const keyOn = async () => valueOf((await get(path)).text, "idempotency_key") ?? "";
  const idempotency_key = await keyOn();
  const first = await submit(path, { idempotency_key });
  const made = shownIn(first.text);
  expect([first.status, textOf(first.text)]).toEqual([200, expect.stringContaining("it is shown only here")]);
  // The page again shows the same secret and sets no other.
  expect(shownIn((await submit(path, { idempotency_key })).text)).toBe(made);
  const audited = await client.list("/v1/audit?action=account.secret_set");
  expect(audited).toMatchObject([{ target: { kind: "account" }, actor: { kind: "dashboard", name: "environment" }, detail: {} }]);
  expect(JSON.stringify(audited)).not.toContain("whsec_");
  expect((await get(path)).text).not.toContain("whsec_M");

  const own = await submit(path, { idempotency_key: await keyOn(), signing_secret: secret });
  expect(shownIn(own.text)).toBe(secret);
  const receiver = await startCallbacks();
  const hook = (await client.post("/v1/hooks", { url: receiver.url("/all") })).body;
  // The endpoint signs with the secret of the account, which need not be shown again.
  expect(hook["signing_secret"] ?? null).toBeNull();

  const refused = await submit(path, { idempotency_key: await keyOn(), signing_secret: "whsec_short" });
  expect([refused.status, faultOf(refused.text, "signing_secret")]).toEqual([422, expect.stringMatching(/must/)]);
  expect(refused.text).not.toContain("whsec_short");
  expect((await submit(path, { signing_secret: secret })).status).toBe(422);
  const { key } = (await client.post("/v1/keys", { name: "endpoints", scopes: ["endpoints"] })).body;
  const other = await signIn(client, String(key));
  expect([(await other.get(path)).status, (await other.submit(path, {})).status]).toEqual([403, 403]);
  expect((await other.get("/dashboard")).text).not.toContain(path);
});

test("every form that is refused is shown again on its page, with what was typed", async () => {
  const service = await startService();
  const { client } = service;
  const receiver = await startCallbacks();
  const { endpointId } = await watched(service, receiver.url("/calls"));
  const { submit } = await signIn(client);
  const endpoint = `/dashboard/endpoints/${endpointId}`;
  const span = { since: "2026-11-02T00:00", until: "2026-11-01T00:00" };
  for (const path of [`${endpoint}/recover`, "/dashboard/endpoints/recover"]) {
    for (const [fields, field, fault] of [
      [span, "until", "must not be before since"],
      [{ ...span, since: "yesterday" }, "since", "must be a time"],
      [{ since: "", until: "2026-11-01T00:00" }, "since", "must be a time"],
    ] as const) {
      const { status, text } = await submit(path, fields);
      expect([path, status, faultOf(text, field)]).toEqual([path, 422, expect.stringContaining(fault)]);
      expect([valueOf(text, "since"), valueOf(text, "until")]).toEqual([fields.since, fields.until]);
      expect(text).toContain(`action="${path}"`);
    }
  }
  const odd = await submit(`${endpoint}/state`, { state: "odd" });
  expect([odd.status, odd.text]).toEqual([422, expect.stringContaining(`action="${endpoint}/state"`)]);
  await submit(`${endpoint}/state`, { state: "disabled" });
  const untested = await submit(`${endpoint}/test`, {});
  expect([untested.status, untested.text]).toEqual([409, expect.stringContaining('role="alert"')]);
  expect(untested.text).toContain(`action="${endpoint}/state"`);
  expect((await submit("/dashboard/endpoints/ep_unknown/recover", span)).status).toBe(404);
  const hook = await submit("/dashboard/hooks", {
    url: "nowhere",
    where: "status is failure",
    idempotency_key: `dashboard-${randomUUID()}`,
  });
  expect([hook.status, valueOf(hook.text, "url"), faultOf(hook.text, "url") === ""]).toEqual([422, "nowhere", false]);
  expect(areaOf(hook.text, "where")).toBe("status is failure");
  const key = await submit("/dashboard/keys", { name: "crm", scopes: "odd", expires_at: "" });
  expect([key.status, valueOf(key.text, "name"), faultOf(key.text, "scopes") === ""]).toEqual([422, "crm", false]);
  const link = await submit("/dashboard/portal-links", { can: "look", expires_in: "3600", frame_ancestors: "http://crm.example" });
  expect([link.status, areaOf(link.text, "frame_ancestors"), faultOf(link.text, "frame_ancestors") === ""]).toEqual([
    422,
    "http://crm.example",
    false,
  ]);
  const edit = await submit(`${endpoint}/edit`, { format: "flat", max_in_flight: "0", late: "send" });
  expect([edit.status, valueOf(edit.text, "max_in_flight"), faultOf(edit.text, "max_in_flight") === ""]).toEqual([422, "0", false]);
});

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { problemOf } from "../harness/service/client.ts";
import type { Json } from "../harness/service/client.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { day, hour, minute, second } from "../harness/store-drafts.ts";

const iso = (ms: number) => new Date(ms).toISOString();

test("a key makes keys with a part of its rights, which are announced before their end and refused after it", async () => {
  const service = await ServiceWorld.start();
  const { client, clock } = service;
  const receiver = await service.receive();
  await client.post("/v1/hooks", { url: receiver.url(), format: "standard", events: ["key.expiring"] });
  const me = (await client.get("/v1/me")).body["key"];
  expect(me).toMatchObject({ name: "environment", scopes: ["read", "watch", "place", "endpoints", "admin"], expires_at: null });

  // Made twice with one Idempotency-Key: one key, one answer.
  const request = { name: "crm", scopes: ["read", "admin"], expires_at: iso(clock.nowMs() + 8 * day) };
  const keyed = { "idempotency-key": "a-key" };
  const made = await client.post("/v1/keys", request, keyed);
  const again = await client.post("/v1/keys", request, keyed);
  expect([made.status, again.status, again.text, again.headers["idempotency-replayed"]]).toEqual([201, 201, made.text, "true"]);
  const { key, ...shown } = made.body;
  expect(shown).toEqual({ id: expect.stringMatching(/^key_/) as string, ...request, created_at: iso(clock.nowMs()) });
  const limited = service.service.clientOf(String(key));
  expect((await limited.get("/v1/me")).body["key"]).toEqual({ id: shown["id"], ...request });

  // What is left out is that of the key that asks, so that another key does not repeat a request: it would get the answer of the first.
  const rights = { "idempotency-key": "rights" };
  for (const [path, body] of [
    ["/v1/keys", { name: "all" }],
    ["/v1/portal-links", { can: "operate" }],
  ] as const) {
    const first = await client.post(path, body, rights);
    expect((await client.post(path, body, rights)).text).toBe(first.text);
    const other = await limited.post(path, body, rights);
    expect([path, first.status, other.status, problemOf(other).type]).toEqual([
      path,
      201,
      422,
      "urn:ringback:problem:idempotency-mismatch",
    ]);
  }

  // Never more than it has, nor longer.
  for (const [body, detail] of [
    [{ name: "more", scopes: ["read", "watch"] }, "scope watch"],
    [{ name: "longer", expires_at: iso(clock.nowMs() + 9 * day) }, request.expires_at],
    [{ name: "endless", expires_at: null }, request.expires_at],
  ] as const) {
    const refused = await limited.post("/v1/keys", body);
    expect([refused.status, problemOf(refused).type]).toEqual([403, "urn:ringback:problem:scope-missing"]);
    expect(problemOf(refused).detail).toContain(detail);
  }
  const heir = (await limited.post("/v1/keys", { name: "heir" })).body;
  expect(heir).toMatchObject({ scopes: request.scopes, expires_at: request.expires_at });
  expect((await limited.post("/v1/watches", { call_sid: "OUT-1", callback_url: null })).status).toBe(403);

  // Revoked: refused within 5 s.
  expect((await limited.delete(`/v1/keys/${String(heir["id"])}`)).status).toBe(204);
  await service.pass(5 * second);
  expect((await service.service.clientOf(String(heir["key"])).get("/v1/me")).status).toBe(401);
  expect((await limited.delete(`/v1/keys/${String(heir["id"])}`)).status).toBe(204);
  expect((await limited.delete("/v1/keys/key_00000000000")).status).toBe(404);

  // The last use is known to the minute, within two.
  await service.leap(2 * minute);
  await service.pass(20 * second);
  const listed = await client.list("/v1/keys");
  expect(listed.map(({ name }) => name)).toEqual(["heir", "all", "crm", "environment"]);
  expect(listed[2]).toEqual({ ...shown, last_used_at: expect.stringMatching(/:00\.000Z$/) as string, revoked_at: null });
  expect(listed[0]).toMatchObject({ revoked_at: expect.any(String) as string });

  // Announced a week before the end; one that is made with less, at once.
  expect(receiver.received).toEqual([]);
  await service.leap(day + minute);
  await service.pass(10 * second);
  const brief = (await client.post("/v1/keys", { name: "brief", expires_at: iso(clock.nowMs() + hour) })).body;
  await service.pass(10 * second);
  const events = receiver.received.map(({ body }) => JSON.parse(body) as { readonly type: string; readonly data: Json });
  expect(events.map(({ type, data }) => [type, data["key_id"], data["state"]])).toEqual([
    ["key.expiring", shown["id"], "expiring"],
    ["key.expiring", brief["id"], "expiring"],
  ]);

  // After the end: 401, which says so.
  await service.leap(hour);
  const ended = await service.service.clientOf(String(brief["key"])).get("/v1/me");
  expect([ended.status, problemOf(ended).detail.includes("expired at")]).toEqual([401, true]);
  expect(receiver.received).toHaveLength(2);
});

test("no key is in the database, stored answers included", async () => {
  const folder = await temporaryFolder();
  const service = await startService({ database: { url: `sqlite:${join(folder, "ringback.db")}` } });
  const { key } = (await service.client.post("/v1/keys", { name: "crm" }, { "idempotency-key": "a-key" })).body;
  const files = await readdir(folder);
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) expect((await readFile(join(folder, file))).includes(String(key))).toBe(false);
});

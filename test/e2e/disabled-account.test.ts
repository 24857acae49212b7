import { expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const at = (status: string) => ({ scenario: [{ atMs: 0, status }] });

test("a disabled account does nothing within 5 s, and goes on in order once it is enabled", { timeout: 60_000 }, async () => {
  // Setup: acme and beta share a source; one call is acme's alone, both watch the other. Timeline: acme is disabled, both calls
  // change twice, acme is enabled. What this proves: nothing of acme is asked or sent meanwhile, and beta notices nothing.
  const upstream = await simulatedUpstream();
  const receiver = await collectingReceiver();
  const world = await ServiceWorld.start({}, { database: "sqlite-file", clock: new FakeClock(Date.now()) });
  const { service } = world;
  const [acme, beta] = [await service.createAccount("acme"), await service.createAccount("beta")];
  await service.command(["source", "set", "crm", "--base-url", upstream.url, "--credential", "any"]);
  const [own, shared] = [upstream.trigger(at("queued")), upstream.trigger(at("queued"))];
  const watch = (call_sid: string, path: string) => ({
    call_sid,
    source: "crm",
    callback_url: `${receiver.url}/${path}`,
    signing_secret: signingSecret,
  });
  await world.until(async () => (await acme.client.post("/v1/watches", watch(own, "acme-own"))).status === 201);
  expect((await acme.client.post("/v1/watches", watch(shared, "acme"))).status).toBe(201);
  expect((await beta.client.post("/v1/watches", watch(shared, "beta"))).status).toBe(201);
  await world.until(() => receiver.deliveries.length === 3);

  const waiting = acme.client.get("/v1/events?after=latest&wait=30");
  expect(await service.command(["account", "disable", "acme"])).toEqual({ account_id: acme.account_id, name: "acme", disabled: true });
  await world.advance(5000);
  const refused = { status: 403, body: { type: "urn:ringback:problem:account-disabled" } };
  for (const path of ["/v1/me", "/v1/watches", "/v1/events"]) expect(await acme.client.get(path)).toMatchObject(refused);
  expect(await acme.client.post("/v1/watches", watch(own, "late"))).toMatchObject(refused);
  expect((await waiting).status).toBe(200);
  const page = await fetch(`${service.url}/dashboard`, { headers: { "x-api-key": acme.key } });
  expect(page.status).toBe(403);
  expect(await page.text()).toContain("disabled the account");

  const polls = upstream.pollCount(own);
  for (const status of ["calling", "success"]) {
    for (const sid of [own, shared]) upstream.script(sid, at(status));
    await world.until(() => receiver.typesAt("/beta").at(-1) === `call.${status}`);
  }
  await world.advance(60_000);
  expect(upstream.pollCount(own)).toBe(polls);
  expect(receiver.typesAt("/acme")).toEqual(["call.queued"]);
  expect((await beta.client.get("/v1/me")).status).toBe(200);

  await service.command(["account", "enable", "acme"]);
  await world.until(() => upstream.pollCount(own) > polls && receiver.typesAt("/acme").length === 3, 5000);
  await world.until(() => receiver.deliveries.length === 8);
  expect(receiver.typesAt("/acme")).toEqual(["call.queued", "call.calling", "call.success"]);
  expect(receiver.typesAt("/acme-own")).toEqual(["call.queued", "call.success"]);
  expect(receiver.typesAt("/beta")).toEqual(["call.queued", "call.calling", "call.success"]);
  expect((await acme.client.get("/v1/me")).status).toBe(200);
});

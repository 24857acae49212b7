import { expect, test } from "vitest";
import { readWebhook } from "../../src/cli/receiver/received-webhook.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { signingSecret } from "../harness/service/environment.ts";
import type { Client } from "../harness/service/client.ts";
import type { DatabaseChoice } from "../harness/service/service.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";

/** A service without any upstream, and the webhooks of a path in the order of arrival. */
async function sandboxed(database: DatabaseChoice = "sqlite-memory") {
  const receiver = await collectingReceiver();
  // Verifiers refuse signatures that are minutes away from their own time.
  const world = await ServiceWorld.start({}, { clock: new FakeClock(Date.now()), database });
  const watch = (callSid: string, path = "/hook", client: Client = world.client) =>
    client.post("/v1/watches", {
      call_sid: callSid,
      source: "sandbox",
      callback_url: `${receiver.url}${path}`,
      signing_secret: signingSecret,
    });
  const received = (path = "/hook") =>
    receiver.deliveries
      .filter((delivery) => delivery.path === path)
      .map((delivery) => {
        const webhook = readWebhook(delivery);
        return `${webhook?.sequence} ${webhook?.type} ${delivery.verification.kind}`;
      });
  return { world, watch, received };
}

const whole = (end: string) => ["1 call.queued verified", "2 call.calling verified", `3 ${end} verified`];

test.each([
  ["success", whole("call.success")],
  ["failure", whole("call.failure")],
  ["slow-2", whole("call.success")],
  ["lost", whole("watch.lost")],
  ["not-found-x_Y", ["1 watch.not_found verified"]],
])("the life of OUT-sandbox-%s reaches the receiver, signed, within about 10 s", async (scenario, expected) => {
  const { world, watch, received } = await sandboxed();
  expect((await watch(`OUT-sandbox-${scenario}`)).status).toBe(201);
  await world.until(() => received().length === expected.length, 14_000);
  expect(received()).toEqual(expected);
});

test("a watch made in the middle of a life sees the rest of it, even if it was not watched meanwhile", async () => {
  const { world, watch, received } = await sandboxed();
  const first = await watch("OUT-sandbox-success", "/first");
  await world.advance(4000);
  expect(await world.client.delete(`/v1/watches/${String(first.body["id"])}`)).toMatchObject({ status: 204 });
  await watch("OUT-sandbox-success", "/second");
  await world.until(() => received("/second").length === 2, 8000);
  expect(received("/second")).toEqual(["1 call.calling verified", "2 call.success verified"]);
});

test("the first watch after the end starts a new life, seen or not", async () => {
  const { world, watch, received } = await sandboxed();
  await watch("OUT-sandbox-success", "/seen");
  const unseen = await watch("OUT-sandbox-failure", "/unseen");
  await world.advance(4000);
  await world.client.delete(`/v1/watches/${String(unseen.body["id"])}`);
  await world.until(() => received("/seen").length === 3, 10_000);
  expect((await watch("OUT-sandbox-success", "/seen-again")).body["status"]).toBe("active");
  expect((await watch("OUT-sandbox-failure", "/unseen-again")).body["status"]).toBe("active");
  await world.until(() => received("/seen-again").length === 3 && received("/unseen-again").length === 3, 14_000);
  expect(received("/seen-again")).toEqual(whole("call.success"));
  expect(received("/unseen-again")).toEqual(whole("call.failure"));
});

test.each(["sqlite-file", "postgres"] as const)(
  "the same SID of two accounts is two calls with lives of their own (%s)",
  async (database) => {
    const { world, watch, received } = await sandboxed(database);
    const other = (await world.service.createAccount("other")).client;
    const watchAsOther = (callSid: string, path: string) => watch(callSid, path, other);
    await watch("OUT-sandbox-success", "/mine");
    await world.advance(5000);
    expect((await watchAsOther("OUT-sandbox-success", "/theirs")).body).toMatchObject({ status: "active", call: { status: null } });
    await world.until(() => received("/mine").length === 3, 14_000);
    // A new life of one does not begin that of the other again.
    await watch("OUT-sandbox-success", "/mine-again");
    await world.until(() => received("/theirs").length === 3 && received("/mine-again").length === 3, 20_000);
    for (const path of ["/mine", "/theirs", "/mine-again"]) expect([path, received(path)]).toEqual([path, whole("call.success")]);
  },
);

test("a registration repeated within a day returns the completed watch and starts no new life", async () => {
  const { world, watch, received } = await sandboxed();
  const first = await watch("OUT-sandbox-success");
  await world.until(() => received().length === 3, 14_000);
  const again = await watch("OUT-sandbox-success");
  expect(again).toMatchObject({ status: 200, body: { id: first.body["id"], status: "completed" } });
  await world.advance(5000);
  expect(received()).toHaveLength(3);
});

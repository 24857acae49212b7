import { expect, onTestFinished, test } from "vitest";
import { readWebhook } from "../../src/cli/receiver/received-webhook.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { Delivery } from "../../src/cli/receiver/receiver.ts";
import { runningService } from "../harness/clocked-service.ts";
import { signingSecret } from "../harness/service-process.ts";

/** A service without any upstream, and what its webhooks say, by path. */
async function sandboxed() {
  const deliveries: Delivery[] = [];
  const receiver = await startReceiver({ secrets: [signingSecret], onDelivery: (delivery) => deliveries.push(delivery) });
  onTestFinished(() => receiver.close());
  const running = await runningService();
  const watch = async (callSid: string, path = "/hook") => {
    const request = { call_sid: callSid, source: "sandbox", callback_url: `${receiver.url}${path}`, signing_secret: signingSecret };
    return running.client.post("/v1/watches", request);
  };
  const told = (path = "/hook") =>
    deliveries
      .filter((delivery) => delivery.path === path)
      .map((delivery) => {
        const webhook = readWebhook(delivery);
        return `${webhook?.sequence} ${webhook?.type} ${delivery.verification.kind}`;
      });
  return { ...running, watch, told };
}

const whole = (end: string) => ["1 call.queued verified", "2 call.calling verified", `3 ${end} verified`];

test.each([
  ["success", whole("call.success")],
  ["failure", whole("call.failure")],
  ["slow-2", whole("call.success")],
  ["lost", whole("watch.lost")],
  ["not-found-x_Y", ["1 watch.not_found verified"]],
])("the life of OUT-sandbox-%s reaches the receiver, signed, within about 10 s", async (scenario, expected) => {
  const { watch, until, told } = await sandboxed();
  expect((await watch(`OUT-sandbox-${scenario}`)).statusCode).toBe(201);
  await until(() => told().length === expected.length, 14_000);
  expect(told()).toEqual(expected);
});

test("a watch made in the middle of a life sees the rest of it, though nobody watched meanwhile", async () => {
  const { client, watch, advance, until, told } = await sandboxed();
  const first = await watch("OUT-sandbox-success", "/first");
  await advance(4000);
  expect(await client.delete(`/v1/watches/${String(first.body["id"])}`)).toMatchObject({ statusCode: 204 });
  await watch("OUT-sandbox-success", "/second");
  await until(() => told("/second").length === 2, 8000);
  expect(told("/second")).toEqual(["1 call.calling verified", "2 call.success verified"]);
});

test("the first watch after the end starts a new life, whether or not anybody saw the end", async () => {
  const { client, watch, advance, until, told } = await sandboxed();
  await watch("OUT-sandbox-success", "/seen");
  const unseen = await watch("OUT-sandbox-failure", "/unseen");
  await advance(4000);
  await client.delete(`/v1/watches/${String(unseen.body["id"])}`);
  await until(() => told("/seen").length === 3, 10_000);
  expect((await watch("OUT-sandbox-success", "/seen-again")).body["status"]).toBe("active");
  expect((await watch("OUT-sandbox-failure", "/unseen-again")).body["status"]).toBe("active");
  await until(() => told("/seen-again").length === 3 && told("/unseen-again").length === 3, 14_000);
  expect(told("/seen-again")).toEqual(whole("call.success"));
  expect(told("/unseen-again")).toEqual(whole("call.failure"));
});

test("who repeats a registration within a day has its completed watch, and no new life", async () => {
  const { watch, until, told, advance } = await sandboxed();
  const first = await watch("OUT-sandbox-success");
  await until(() => told().length === 3, 14_000);
  const again = await watch("OUT-sandbox-success");
  expect(again).toMatchObject({ statusCode: 200, body: { id: first.body["id"], status: "completed" } });
  await advance(5000);
  expect(told()).toHaveLength(3);
});

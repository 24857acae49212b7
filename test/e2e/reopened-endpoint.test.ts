import { expect, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";

test("an endpoint that is disabled and named again takes attempts at once", async () => {
  await using receiver = await startReceiver();
  const { client } = await ServiceWorld.start();
  const callbackUrl = `${receiver.url}/hook`;
  const first = await client.post("/v1/watches", { call_sid: "OUT-sandbox-slow-1", source: "sandbox", callback_url: callbackUrl });
  const endpoint = `/v1/endpoints/${String(first.body["endpoint_id"])}`;
  expect(await client.patch(endpoint, { state: "disabled" })).toMatchObject({ status: 200, body: { state: "disabled" } });
  const again = await client.post("/v1/watches", { call_sid: "OUT-sandbox-slow-2", source: "sandbox", callback_url: callbackUrl });
  expect(again.body["endpoint_state"]).toBe("enabled");
  expect(await client.post(`${endpoint}/test`, {})).toMatchObject({ status: 200, body: { decision: "delivered" } });
});

test("an endpoint that is disabled and then paused takes manual attempts at once", async () => {
  await using receiver = await startReceiver();
  const { client } = await ServiceWorld.start();
  const watch = { call_sid: "OUT-sandbox-slow-1", source: "sandbox", callback_url: `${receiver.url}/hook` };
  const { body } = await client.post("/v1/watches", watch);
  const endpoint = `/v1/endpoints/${String(body["endpoint_id"])}`;
  for (const state of ["disabled", "paused"]) expect((await client.patch(endpoint, { state })).body["state"]).toBe(state);
  expect(await client.post(`${endpoint}/test`, {})).toMatchObject({ status: 200, body: { decision: "delivered" } });
});

import { describe, expect, test } from "vitest";
import type { Callback } from "../harness/receivers/callbacks.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { hour, second } from "../harness/store-drafts.ts";

const watchIdOf = ({ body }: Callback) => (JSON.parse(body) as { readonly data: { readonly watch_id: string } }).data.watch_id;

/** A receiver that answers 200 once `answer` was called, and later requests at once. */
async function heldReceiver(service: ServiceWorld) {
  const held = Promise.withResolvers<void>();
  const receiver = await service.receive(async () => {
    await held.promise;
    return 200;
  });
  return { receiver, answer: held.resolve };
}

describe("DELETE of a watch", () => {
  test("no attempt starts after the 204; the one on the wire arrives and is recorded, the rest is canceled", async () => {
    const service = await ServiceWorld.start({ ENDPOINT_MAX_IN_FLIGHT: "1" });
    const { receiver, answer } = await heldReceiver(service);
    const watches: Json[] = [];
    for (let n = 0; n < 4; n++) watches.push(await service.watch(receiver.url(), { events: null }));
    await receiver.arrived(1);
    for (const { id } of watches.slice(0, 3)) expect((await service.client.delete(`/v1/watches/${String(id)}`)).status).toBe(204);
    answer();
    await service.pass(2 * second);
    // The first was on the wire; the fourth was not deleted.
    expect(receiver.received.map((callback) => watchIdOf(callback))).toEqual([watches[0]?.["id"], watches[3]?.["id"]]);
    const states = [];
    for (const { id } of watches) states.push((await service.deliveryOf(String(id))).status);
    expect(states).toEqual(["canceled", "canceled", "canceled", "delivered"]);
    expect((await service.deliveryOf(String(watches[0]?.["id"]))).attempts).toMatchObject([{ status_code: 200, decision: "delivered" }]);
    expect(await service.get(`/v1/watches/${String(watches[1]?.["id"])}`)).toMatchObject({ status: "canceled", end_reason: "deleted" });
    await service.leap(hour);
    expect(receiver.received.filter((callback) => watchIdOf(callback) !== watches[3]?.["id"])).toHaveLength(1);
  });

  test("what was to be tried again is not, and an ended watch stays as it is", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(() => 500);
    const { id } = await service.watch(receiver.url(), { scenario: "success", events: ["terminal"] });
    await service.pass(10 * second);
    const before = receiver.received.length;
    expect(before).toBeGreaterThan(0);
    expect((await service.client.delete(`/v1/watches/${String(id)}`)).status).toBe(204);
    expect(await service.get(`/v1/watches/${String(id)}`)).toMatchObject({ status: "completed", end_reason: null });
    await service.leap(hour);
    expect(receiver.received).toHaveLength(before);
    expect((await service.client.delete(`/v1/watches/${String(id)}`)).status).toBe(204);
  });

  test("with purge it is erased with its events and deliveries, an attempt on the wire included", async () => {
    const service = await ServiceWorld.start();
    const { receiver, answer } = await heldReceiver(service);
    const { id } = await service.watch(receiver.url());
    await receiver.arrived(1);
    const delivery = await service.deliveryOf(String(id));
    expect((await service.client.delete(`/v1/watches/${String(id)}?purge=true`)).status).toBe(204);
    answer();
    await service.pass(2 * second);
    expect(service.attempts).toEqual([]);
    for (const path of [`/v1/watches/${String(id)}`, `/v1/deliveries/${delivery.id}`, `/v1/events/${delivery.event_id}`])
      expect((await service.client.get(path)).status).toBe(404);
    expect((await service.client.delete(`/v1/watches/${String(id)}`)).status).toBe(404);
    expect(service.lines.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
  });
});

describe("PATCH of an endpoint's state", () => {
  test.each(["paused", "disabled"])("%s: nothing starts after the answer, and all goes on in order when it is enabled", async (state) => {
    const service = await ServiceWorld.start({ ENDPOINT_MAX_IN_FLIGHT: "1" });
    const { receiver, answer } = await heldReceiver(service);
    const watches: Json[] = [];
    for (let n = 0; n < 4; n++) watches.push(await service.watch(receiver.url(), { events: null }));
    await receiver.arrived(1);
    const endpoint = `/v1/endpoints/${String(watches[0]?.["endpoint_id"])}`;
    expect((await service.client.patch(endpoint, { state })).body).toMatchObject({ state, reason: "client" });
    answer();
    await service.pass(8 * second);
    expect(receiver.received).toHaveLength(1);
    const waiting = await service.deliveriesOf("status=pending");
    expect(waiting).toHaveLength(7);
    for (const { explain } of waiting) expect(explain).toMatch(/^waits until the endpoint/);

    expect((await service.client.patch(endpoint, { state: "enabled" })).body).toMatchObject({ state: "enabled", reason: null });
    await service.attempted(8);
    const sequences = new Map<string, number[]>();
    for (const callback of receiver.received) {
      const { watch_id, sequence } = (JSON.parse(callback.body) as { data: { watch_id: string; sequence: number } }).data;
      sequences.set(watch_id, [...(sequences.get(watch_id) ?? []), sequence]);
    }
    expect([...sequences.values()]).toEqual(watches.map(() => [1, 2]));
  });

  test("disabled, then paused, then enabled: its pending webhooks start a new schedule, and its failures are reset", async () => {
    const service = await ServiceWorld.start({
      RETRY_SCHEDULE: ["0s", ...Array<string>(11).fill("1h")].join(","),
      ENDPOINT_DISABLE_AFTER_MS: String(9 * hour),
    });
    const receiver = await service.receive(({ number }) => (number <= 11 ? 500 : 200));
    const { id, endpoint_id } = await service.firstAttempt(receiver.url());
    for (let n = 0; n < 9; n++) await service.leap(hour);
    expect(await service.endpoint(endpoint_id)).toMatchObject({ state: "disabled", reason: "failing" });
    await service.client.patch(`/v1/endpoints/${endpoint_id}`, { state: "paused" });
    await service.client.patch(`/v1/endpoints/${endpoint_id}`, { state: "enabled" });
    await service.quiet();
    expect(await service.delivery(id)).toMatchObject({ status: "pending", attempt_count: 11 });
    expect(await service.endpoint(endpoint_id)).toMatchObject({ state: "enabled" });
    await service.leap(hour);
    expect(await service.delivery(id)).toMatchObject({ status: "delivered", attempt_count: 12 });
  });

  test.each(["disabled, and its URL named again", "disabled, then paused"])("%s: it takes manual attempts at once", async (how) => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    const { endpoint_id } = await service.watch(receiver.url(), { events: ["terminal"] });
    const endpoint = `/v1/endpoints/${String(endpoint_id)}`;
    await service.client.patch(endpoint, { state: "disabled" });
    if (how.endsWith("paused")) await service.client.patch(endpoint, { state: "paused" });
    else await service.watch(receiver.url(), { events: ["terminal"], signing_secret: undefined });
    expect(await service.client.post(`${endpoint}/test`)).toMatchObject({ status: 200, body: { decision: "delivered" } });
  });
});

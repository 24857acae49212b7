import { expect, test } from "vitest";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { hour, second, startMs } from "../harness/store-drafts.ts";

const at = (ms: number) => new Date(startMs + ms).toISOString();
/** The second attempt follows in 5 s, the third in 10 h. */
const RETRY_SCHEDULE = "0s,5s,10h,10h";

test(
  "a receiver that is back is sent at once what waits, oldest first; three that it never takes are tried again once a step",
  { timeout: 60_000 },
  async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE, ENDPOINT_MAX_IN_FLIGHT: "1" });
    // At once, or with the next tick of the dispatcher if a claim was under way.
    const reached = (count: number) => service.until(() => service.attempts.length >= count, 2 * second);
    let isUp = false;
    const poisoned = new Set<string>();
    const receiver = await service.receive(({ headers }) => (isUp && !poisoned.has(String(headers["webhook-id"])) ? 200 : 500));
    const waiting = [];
    for (let n = 0; n < 12; n++) {
      waiting.push(await service.firstAttempt(receiver.url()));
      await service.leap(second);
    }
    await service.leap(5 * second);
    await service.attempted(24);
    const eventIds = waiting.map(({ event_id }) => event_id);
    // The oldest, so that they are the first to be sent.
    for (const eventId of eventIds.slice(0, 3)) poisoned.add(eventId);
    const before = await service.delivery(waiting[0]?.id ?? "");
    expect(before).toMatchObject({ attempt_count: 2, next_attempt_at: at(5 * second + 10 * hour) });

    isUp = true;
    const sentBefore = receiver.received.length;
    const { endpoint_id: endpointId } = before;
    expect((await service.client.post(`/v1/endpoints/${endpointId}/test`)).status).toBe(200);
    const tests = 1;
    await reached(sentBefore + tests + 12);
    await service.quiet();
    const sent = receiver.received.slice(sentBefore + tests).map(({ headers }) => String(headers["webhook-id"]));
    expect(sent).toEqual(eventIds);
    const after = await Promise.all(waiting.map(({ id }) => service.delivery(id)));
    expect(after.map(({ status }) => status)).toEqual([...Array<string>(3).fill("pending"), ...Array<string>(9).fill("delivered")]);
    expect(after[0]).toMatchObject({ attempt_count: 3, next_attempt_at: before.next_attempt_at });

    // Each further webhook that it takes is a 2xx after a failure, and none of them tries the three again.
    for (let n = 0; n < 5; n++) {
      await service.leap(second);
      await service.firstAttempt(receiver.url());
    }
    expect(receiver.received).toHaveLength(sentBefore + tests + 12 + 5);

    // Their regular attempts spend a step, so that the next 2xx brings each forward once more.
    await service.leap(10 * hour);
    await reached(sentBefore + tests + 12 + 5 + 3);
    await service.firstAttempt(receiver.url());
    await reached(sentBefore + tests + 12 + 5 + 3 + 1 + 3);
    const counts = await Promise.all(waiting.slice(0, 3).map(async ({ id }) => (await service.delivery(id)).attempt_count));
    expect(counts).toEqual([5, 5, 5]);
    await service.firstAttempt(receiver.url());
    expect(receiver.received).toHaveLength(sentBefore + tests + 12 + 5 + 3 + 1 + 3 + 1);
  },
);

test("the 2xx of a manual retry counts too, and what it brings forward keeps to the limit in flight", async () => {
  const service = await ServiceWorld.start({ RETRY_SCHEDULE, ENDPOINT_MAX_IN_FLIGHT: "1" });
  let isUp = false;
  const receiver = await service.receive(() => (isUp ? 200 : 500));
  const waiting = [];
  for (let n = 0; n < 3; n++) waiting.push(await service.firstAttempt(receiver.url()));
  await service.leap(5 * second);
  await service.attempted(6);
  const [first] = waiting;
  expect(await service.delivery(first?.id ?? "")).toMatchObject({ attempt_count: 2 });
  isUp = true;
  expect((await service.client.post(`/v1/deliveries/${first?.id ?? ""}/retry`)).status).toBe(202);
  await service.attempted(9);
  const shown = await Promise.all(waiting.map(({ id }) => service.delivery(id)));
  expect(shown.map(({ status }) => status)).toEqual(["delivered", "delivered", "delivered"]);
  expect(service.attempts.map(({ mode }) => mode).slice(-2)).toEqual(["early", "early"]);
});

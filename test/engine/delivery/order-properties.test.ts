import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeliveryView } from "../../../src/ports/stores/read-store.ts";
import type { CallbackAnswer } from "../../harness/receivers/callbacks.ts";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import { hour, minute, second } from "../../harness/store-drafts.ts";

/*
 * Invariants under all answers and at every crash: the events of a watch reach an endpoint in their sequence, unless an
 * earlier one has been failing for the hold. Late events are dropped if the endpoint drops them. No other event is lost.
 */

const orderHoldMs = minute;
const policy = { scheduleMs: [0, 5 * second, 30 * second, 2 * minute, 10 * minute], orderHoldMs };
const calls = 3;
const statuses = ["queued", "calling", "ringing", "holding", "calling", "success"];

type Step =
  | { readonly kind: "see"; readonly call: number; readonly settles: boolean }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "crash" | "restart"; readonly turns: number }
  | { readonly kind: "remove"; readonly call: number };

const call = fc.nat(calls - 1);
const turns = fc.nat(12);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("see" as const), call, settles: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.constantFrom(1, 200, 1000, 5000, 20_000, 59_999, 60_000, 61_000, 300_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("crash" as const, "restart" as const), turns }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), call }) },
);
const answer: fc.Arbitrary<CallbackAnswer> = fc.constantFrom<CallbackAnswer[]>(
  200,
  500,
  500,
  404,
  "broken head",
  429,
  { status: 429, headers: { "retry-after": "20" } },
  { status: 503, headers: { "retry-after": "90" } },
  502,
);
const scenario = fc.record({
  steps: fc.array(step, { minLength: 5, maxLength: 40 }),
  answers: fc.array(answer, { maxLength: 30 }),
});

let folder: string;
let runs = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-order-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const isOpen = ({ delivery, leased }: DeliveryView) => leased || delivery.status === "pending";

type Arrival = { readonly lane: string; readonly sequence: number; readonly id: string; readonly atMs: number };

test("order, drops and losses, through random failures, deferrals, crashes and restarts", { timeout: 180_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ steps, answers }) => {
      const world = await DeliveryWorld.open({ policy, path: join(folder, `${++runs}.db`) });
      world.tickEachSecond();
      const arrivals: Arrival[] = [];
      const left = [...answers];
      const receiver = await world.receive(({ path, headers, body }) => {
        const { data } = JSON.parse(body) as { data: { watch_id: string; sequence: number } };
        const lane = `${data.watch_id} ${path}`;
        arrivals.push({ lane, sequence: data.sequence, id: headers["webhook-id"] ?? "", atMs: world.clock.nowMs() });
        return left.shift() ?? 200;
      });
      const watches: string[] = [];
      const removedAtMs = new Map<string, number>();
      for (let n = 0; n < calls; n++) {
        const late = n % 2 === 0 ? "send" : "drop";
        const { view } = await world.watch(`OUT-${n}`, { url: receiver.url(`/${late}`), endpoint: { late } });
        watches.push(view.watch.id);
      }
      const { id: accountId } = await world.registrations.account();
      const observed = Array.from({ length: calls }, () => 0);
      for (const taken of steps) {
        switch (taken.kind) {
          case "see": {
            const status = statuses[observed[taken.call] ?? 0];
            if (status === undefined || removedAtMs.has(watches[taken.call] ?? "")) break;
            observed[taken.call] = (observed[taken.call] ?? 0) + 1;
            await world.see(`OUT-${taken.call}`, status);
            if (taken.settles) await world.settle();
            break;
          }
          case "pass":
            await world.clock.advance(taken.ms);
            break;
          case "remove": {
            const watchId = watches[taken.call] ?? "";
            await world.settle();
            await world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.clock.nowMs() });
            world.dispatcher.removed({ watchId, deliveryIds: [], notices: [] });
            if (!removedAtMs.has(watchId)) removedAtMs.set(watchId, arrivals.length);
            break;
          }
          case "crash":
          case "restart":
            // A random point between a commit and the record of its attempt.
            for (let turn = 0; turn < taken.turns; turn++) await setImmediate();
            await world[taken.kind]();
        }
      }
      left.length = 0;
      // Four hours exceed every schedule here. The loop ends early once every delivery is settled.
      let deliveries = await world.deliveries();
      for (let passed = 0; passed < 4 * hour && deliveries.some(isOpen); passed += 5 * minute) {
        await world.clock.advance(5 * minute);
        deliveries = await world.deliveries();
      }

      expect(deliveries).toHaveLength(observed.reduce((sum, count) => sum + count, 0));
      const settledAt = new Map<string, number>();
      const failedAt = new Map<string, number>();
      for (const { delivery, leased } of deliveries) {
        const attempts = await world.attemptsOf(delivery.id);
        const event = await world.store.getEvent(accountId, delivery.eventId);
        const data = event?.event.data as { readonly sequence: number; readonly terminal: boolean };
        const late = watches.indexOf(delivery.watchId ?? "") % 2 === 0 ? "send" : "drop";
        const key = `${delivery.watchId} /${late} ${data.sequence}`;
        // Every delivery is settled with a status that its watch and its `late` allow.
        expect(leased).toBe(false);
        const ends = removedAtMs.has(delivery.watchId ?? "")
          ? ["delivered", "exhausted", "superseded", "canceled"]
          : ["delivered", "exhausted"];
        if (late === "drop" && !data.terminal) ends.push("superseded");
        expect(ends).toContain(delivery.status);
        if (late === "send" || data.terminal) expect(delivery.status).not.toBe("superseded");
        const came = arrivals.filter(({ id }) => id === delivery.eventId).length;
        if (delivery.status === "delivered") expect(came).toBeGreaterThanOrEqual(1);
        expect(came).toBeGreaterThanOrEqual(attempts.length);
        settledAt.set(key, delivery.settledAtMs ?? Infinity);
        const firstFailure = attempts.find(({ decision }) => decision === "retry" || (decision === "exhausted" && attempts.length === 1));
        if (firstFailure !== undefined) failedAt.set(key, firstFailure.startedAtMs);
      }
      for (const { lane, sequence, atMs } of arrivals)
        for (let earlier = 1; earlier < sequence; earlier++) {
          const key = `${lane} ${earlier}`;
          const mayPass = (settledAt.get(key) ?? Infinity) <= atMs || (failedAt.get(key) ?? Infinity) + orderHoldMs <= atMs;
          expect({ lane, sequence, earlier, mayPass }).toEqual({ lane, sequence, earlier, mayPass: true });
        }
      for (const [watchId, count] of removedAtMs) expect(arrivals.slice(count).filter(({ lane }) => lane.startsWith(watchId))).toEqual([]);
      // Every attempt of an event carries the same id.
      const ids = new Map(arrivals.map((arrival) => [`${arrival.lane} ${arrival.sequence}`, arrival.id]));
      for (const arrival of arrivals) expect(arrival.id).toBe(ids.get(`${arrival.lane} ${arrival.sequence}`));
      await world.close();
    }),
    { numRuns: 30, endOnFailure: true },
  );
});

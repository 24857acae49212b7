import { expect, test } from "vitest";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { eventually } from "../harness/service/eventually.ts";
import { hanging, placing, triggerUpstream } from "../harness/upstream/trigger-upstream.ts";

const place = (world: ServiceWorld, key: string) =>
  world.client.post("/v1/calls", { call: { to_number: "+441234567890" }, callback_url: null }, { "idempotency-key": key });

/** A service on a clock that the test moves, and its upstream. */
async function placingWorld(environment: Readonly<Record<string, string>> = {}) {
  const upstream = await triggerUpstream();
  return { upstream, world: await ServiceWorld.start({ ...upstream.environment, ...environment }) };
}

test("a trigger that is not answered is given up after 15 s, not before: the call is unknown", async () => {
  const { upstream, world } = await placingWorld();
  upstream.answer(hanging);
  const answers: number[] = [];
  const placed = place(world, "k").then((answer) => {
    answers.push(answer.status);
    return answer;
  });
  await eventually(
    async () => upstream.triggers.length,
    (count) => count === 1,
  );
  await world.advance(14_900);
  expect(answers).toEqual([]);
  await world.advance(200);
  expect(await placed).toMatchObject({ status: 502, body: { type: "urn:ringback:problem:call-unknown" } });
  expect(await world.client.list("/v1/placings?state=unknown")).toHaveLength(1);
  expect(upstream.triggers).toHaveLength(1);
});

test("a trigger without a turn of the rate in 10 s is refused, sends nothing and keeps nothing", async () => {
  const { upstream, world } = await placingWorld({ POLYAI_MAX_POLLS_PER_SECOND: "0.01" });
  upstream.answer(placing("OUT-first"));
  expect((await place(world, "first")).status).toBe(201);
  const answers: number[] = [];
  const placed = place(world, "second").then((answer) => {
    answers.push(answer.status);
    return answer;
  });
  await eventually(
    () => world.client.list("/v1/placings?state=sending"),
    (sending) => sending.length === 1,
  );
  await world.advance(9900);
  expect(answers).toEqual([]);
  await world.advance(200);
  const late = await placed;
  expect(late).toMatchObject({ status: 429, body: { type: "urn:ringback:problem:source-saturated" } });
  expect(late.headers["retry-after"]).toBe("1");
  expect(upstream.triggers).toHaveLength(1);
  expect(await world.client.list("/v1/placings")).toHaveLength(1);
});

import { expect, onTestFinished, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { fine, missing, PollingWorld } from "../../harness/polling.ts";
import { hour, minute, second, testPolicy } from "../../harness/store-drafts.ts";

// Set-up: a call that the upstream does not know. Timeline: the wall clock is set back by an hour and the process starts
// again, so that the time of the registration lies ahead. What it proves: the grace still ends, instead of an hour later.
test("a watch whose registration lies ahead of a clock that was set back still ends as not found", async () => {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  onTestFinished(() => store.close());
  const world = new PollingWorld(store);
  world.upstream.answer = (callSid) => (callSid === "OUT-known" ? fine("queued") : missing);
  await world.watch("OUT-known");
  await world.watch("OUT-unknown");
  await world.advance(5 * second);
  world.clock.setWall(world.clock.nowMs() - hour);
  await world.restart();
  await world.advance(minute);
  expect(world.told).toContain("1 watch.not_found");
});

test("another registration of the call does not bring the time ahead back", async () => {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  onTestFinished(() => store.close());
  const world = new PollingWorld(store);
  world.upstream.answer = (callSid) => (callSid === "OUT-known" ? fine("queued") : missing);
  await world.watch("OUT-known");
  await world.watch("OUT-unknown");
  world.clock.setWall(world.clock.nowMs() - hour);
  await world.restart();
  await world.advance(5 * second);
  await world.watch("OUT-unknown", { url: "https://another.example/" });
  await world.advance(minute);
  expect(world.told.filter((told) => told === "1 watch.not_found")).toHaveLength(2);
});

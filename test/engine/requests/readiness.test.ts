import { expect, test } from "vitest";
import { LiveStateReader } from "../../../src/engine/requests/live-state.ts";
import type { LiveStateReaderOptions } from "../../../src/engine/requests/live-state.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

/** A readiness whose checks of the store end when the test says so. */
function probed() {
  const clock = new FakeClock();
  const checks: PromiseWithResolvers<void>[] = [];
  const state = { isStopping: false, isReachable: true };
  const parts = {
    clock,
    poller: { sources: { health: () => [], clockSkews: () => [] } },
    supervisor: { silentLoops: () => [] },
    isStopping: () => state.isStopping,
    isStoreReachable: () => state.isReachable,
    store: {
      checkWritable: () => {
        const check = Promise.withResolvers<void>();
        checks.push(check);
        return check.promise;
      },
    },
  };
  const live = new LiveStateReader(parts as unknown as LiveStateReaderOptions);
  const probe = async () => (await live.readiness()).notReady;
  return { clock, checks, state, probe };
}

test("any number of probes wait for one check of the store, and a second reuses its success", async () => {
  const { clock, checks, probe } = probed();
  const waiting = Array.from({ length: 1000 }, probe);
  expect(checks).toHaveLength(1);
  checks[0]?.resolve();
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([null]));
  await clock.advance(999);
  expect(await probe()).toBeNull();
  expect(checks).toHaveLength(1);
  await clock.advance(1);
  const next = probe();
  expect(checks).toHaveLength(2);
  checks[1]?.reject(new Error("disk full"));
  expect(await next).toBe("the store cannot be written");
});

test("a failure is not reused, so that the end of the trouble shows at once", async () => {
  const { checks, probe } = probed();
  const failing = [probe(), probe()];
  checks[0]?.reject(new Error("disk full"));
  expect(await Promise.all(failing)).toEqual(["the store cannot be written", "the store cannot be written"]);
  const after = probe();
  checks[1]?.resolve();
  expect(await after).toBeNull();
});

test("a stop and an unreachable database show at once, also while the store is checked or was a moment ago", async () => {
  const { clock, checks, state, probe } = probed();
  const first = probe();
  checks[0]?.resolve();
  expect(await first).toBeNull();
  state.isReachable = false;
  expect(await probe()).toBe("the store cannot be reached");
  state.isReachable = true;
  await clock.advance(1000);
  const checking = probe();
  state.isStopping = true;
  expect(await probe()).toBe("the service is stopping");
  checks[1]?.resolve();
  expect(await checking).toBe("the service is stopping");
});

import { expect, test } from "vitest";
import { expectNoListener, startDemo } from "./demo-run.ts";

// The demo to its end is in the long script.
test("interrupted, it cleans up behind itself", { timeout: 60_000 }, async () => {
  const demo = await startDemo();
  await demo.seen(/^watching OUT-demo-crash/);
  demo.child.kill("SIGINT");
  expect(await demo.exited).toEqual([130, null]);
  expect(await demo.leftovers()).toEqual([]);
  await expectNoListener(demo.addresses());
});

test("an unknown flag is a usage error", async () => {
  const demo = await startDemo("--bogus");
  expect(await demo.exited).toEqual([2, null]);
});

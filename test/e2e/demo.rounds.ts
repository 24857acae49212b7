import { expect, test } from "vitest";
import { expectNoListener, startDemo } from "./demo-run.ts";

// Setup: simulated upstream, two services as processes of their own, a receiver with the official verifier.
// Timeline: five calls; one receiver refuses twice; a service is killed with SIGKILL while a webhook is pending, and started again.
// What this proves: every webhook arrives, verified and without a gap, and the demo leaves nothing behind.
test("the demo ends by itself with everything delivered", { timeout: 60_000 }, async () => {
  const startedAtMs = performance.now();
  const demo = await startDemo();
  const [code] = await demo.exited;
  expect(demo.lines.at(-1), demo.lines.join("\n")).toMatch(
    /^15 webhooks of 5 calls in \d+ attempts, all verified, every sequence without a gap/,
  );
  expect(code).toBe(0);
  expect(performance.now() - startedAtMs).toBeLessThan(40_000);
  expect(demo.lines.filter((line) => line.includes("SIGKILL")).length).toBeGreaterThan(0);
  expect(await demo.leftovers()).toEqual([]);
  await expectNoListener(demo.addresses());
});

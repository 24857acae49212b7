import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { compileCache } from "../harness/run/compile-cache.ts";

const root = new URL("../..", import.meta.url);

/** The demo with a temp folder of its own, so that what it leaves behind can be seen, and nothing else in its environment. */
async function startDemo(...flags: string[]) {
  const folder = await mkdtemp(join(tmpdir(), "ringback-demo-test-"));
  const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/cli/demo.ts", ...flags], {
    cwd: root,
    env: { ...compileCache, TMPDIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await rm(folder, { recursive: true, force: true });
  });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  output.on("line", (line) => lines.push(line));
  const exited = once(child, "exit") as Promise<[number | null]>;
  const seen = async (pattern: RegExp) => {
    while (!lines.some((line) => pattern.test(line)))
      await Promise.race([once(output, "line"), exited.then(() => Promise.reject(new Error(lines.join("\n"))))]);
  };
  const addresses = () => [...lines.join("\n").matchAll(/http:\/\/127\.0\.0\.1:\d+/g)].map(([url]) => url);
  const leftovers = () => readdir(folder);
  return { child, lines, exited, seen, addresses, leftovers };
}

async function expectNoListener(addresses: readonly string[]): Promise<void> {
  expect(addresses.length).toBeGreaterThanOrEqual(4);
  for (const url of addresses) await expect(request(url)).rejects.toThrow();
}

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

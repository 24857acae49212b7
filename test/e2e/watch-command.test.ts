import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { compileCache } from "../harness/run/compile-cache.ts";
import { apiKey } from "../harness/service/environment.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { second } from "../harness/store-drafts.ts";

const root = new URL("../..", import.meta.url);

function watch(url: string, ...args: readonly string[]) {
  return watchIn({}, url, ...args);
}

function watchIn(environment: Readonly<Record<string, string>>, url: string, ...args: readonly string[]) {
  const flags = ["--import", "./src/runtime-check.mjs", "src/cli/ringback.ts", "watch", ...args, "--url", url, "--source", "sandbox"];
  const child = spawn(process.execPath, flags, {
    cwd: root,
    env: { ...compileCache, RINGBACK_API_KEY: apiKey, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "close").then(([code]) => code as number);
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator](), ended };
}

const next = async (lines: AsyncIterator<string>): Promise<string> => String((await lines.next()).value);

test("watch shows every change, and exits with 0 at the end of the call", { timeout: 60_000 }, async () => {
  const world = await ServiceWorld.start();
  const { lines, ended } = watch(world.service.url, "OUT-sandbox-failure-1");
  expect(await next(lines)).toMatch(/^wch_\S+ {2}OUT-sandbox-failure-1 {2}active: /);
  expect(await next(lines)).toMatch(/^queued: /);
  await world.pass(4 * second);
  expect(await next(lines)).toMatch(/^calling: /);
  await world.pass(6 * second);
  expect(await next(lines)).toMatch(/^failure \(call queueing/);
  expect(await next(lines)).toMatch(/^00:\d\d {2}wch_\S+ failure: call queueing/);
  expect(await ended).toBe(0);
});

test("with --no-wait it exits at once, and interrupted before the end with 1", { timeout: 60_000 }, async () => {
  const world = await ServiceWorld.start();
  const quick = watch(world.service.url, "OUT-sandbox-slow-1", "--no-wait", "--json");
  expect(JSON.parse(await next(quick.lines))).toMatchObject({ call_sid: "OUT-sandbox-slow-1", status: "active" });
  expect(await quick.ended).toBe(0);
  const { child, lines, ended } = watch(world.service.url, "OUT-sandbox-slow-2");
  await next(lines);
  await next(lines);
  child.kill("SIGINT");
  expect(await ended).toBe(1);
});

test("variables that are the service's alone do not matter to it", { timeout: 60_000 }, async () => {
  const world = await ServiceWorld.start();
  const { lines, ended } = watchIn({ RETENTION_DAYS: "x", POLYAI_BASE_URL: "x" }, world.service.url, "OUT-sandbox-slow-1", "--no-wait");
  expect(await next(lines)).toMatch(/^wch_/);
  expect(await ended).toBe(0);
});

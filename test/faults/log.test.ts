import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { compileCache } from "../harness/run/compile-cache.ts";
import { apiKey, serviceEnvironment } from "../harness/service/environment.ts";
import { clientOf } from "../harness/service/client.ts";
import { eventually } from "../harness/service/eventually.ts";
import { scrape, valueOf } from "../harness/service/metrics-scrape.ts";

const root = new URL("../..", import.meta.url).pathname;

/** A service whose log goes to `stdout`, with a line for each request. */
async function startWithLog(stdout: number | "pipe") {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/main.ts"], {
    cwd: root,
    env: { ...compileCache, ...serviceEnvironment(), PORT: String(port), METRICS_PORT: String(metricsPort), LOG_LEVEL: "debug" },
    stdio: ["ignore", stdout, "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const client = clientOf(`http://127.0.0.1:${port}`, apiKey);
  const health = () =>
    client.get("/healthz").then(
      ({ status }) => status,
      () => 0,
    );
  await eventually(health, (status) => status === 200);
  const lost = async () => valueOf(await scrape(metricsPort), "ringback_log_lines_dropped_total") ?? -1;
  const stop = async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    return (await ended)[0] as number | null;
  };
  return { child, client, health, lost, stop };
}

test("a full disk loses lines, which are counted, and nothing else", async () => {
  const { health, lost, stop } = await startWithLog(openSync("/dev/full", "w"));
  for (let n = 0; n < 20; n++) expect(await health()).toBe(200);
  expect(await lost()).toBeGreaterThan(20);
  expect(await stop()).toBe(0);
});

test("a reader that left loses lines, which are counted, and nothing else", async () => {
  const { child, health, lost, stop } = await startWithLog("pipe");
  child.stdout?.destroy();
  for (let n = 0; n < 20; n++) expect(await health()).toBe(200);
  await eventually(lost, (lines) => lines >= 10);
  expect(await stop()).toBe(0);
});

test("a reader that stopped does not hold up requests or a stop", async () => {
  const { child, health, stop } = await startWithLog("pipe");
  child.stdout?.pause();
  // More than the pipe and the reader hold.
  for (let n = 0; n < 3000; n++) expect(await health()).toBe(200);
  expect(await stop()).toBe(0);
});

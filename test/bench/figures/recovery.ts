import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServiceProcess, freePort } from "../../../src/cli/demo/service-process.ts";
import type { Figure } from "../figure.ts";
import { Outbound } from "../outbound.ts";

const key = "bench-key-bench-key-bench-key";
const endpoints = 100;
const transitionsAtOnce = 1000;
/** Nobody listens there, and the endpoints are many, so that what is owed stays owed. */
const urlOf = (index: number) => `http://127.0.0.1:9/${index % endpoints}`;

/** How long a service takes to be ready again after SIGKILL, with so many active calls and one delivery owed for each. */
export async function measureRecovery(calls: number): Promise<Figure> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-bench-"));
  const path = join(folder, "ringback.db");
  await owe(path, calls);
  const service = new ServiceProcess("bench", {
    port: await freePort(),
    key,
    environment: {
      DATABASE_URL: `sqlite:${path}`,
      METRICS_PORT: "0",
      POLYAI_BASE_URL: "http://127.0.0.1:9",
      POLYAI_AUTH_TOKEN: "bench",
      CALLBACK_ALLOW: "127.0.0.1/32",
      CALLBACK_ALLOW_HTTP: "true",
      LOG_LEVEL: "silent",
    },
  });
  try {
    await service.start(AbortSignal.timeout(60_000));
    await service.kill();
    const startedMs = performance.now();
    await service.start(AbortSignal.timeout(60_000));
    const seconds = (performance.now() - startedMs) / 1000;
    return {
      name: `ready after kill -9, ${calls} active calls and as many owed deliveries`,
      value: seconds,
      shown: `${seconds.toFixed(2)} s, the process's start included`,
      bar: "<= 3 s",
      met: seconds <= 3,
    };
  } finally {
    await service[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

async function owe(path: string, count: number): Promise<void> {
  await using outbound = await Outbound.open(path, { sends: false, apiKey: key });
  const calls = await outbound.watch(count, "owed", urlOf);
  for (let from = 0; from < calls.length; from += transitionsAtOnce)
    await Promise.all(calls.slice(from, from + transitionsAtOnce).map((call) => outbound.see(call, "queued")));
}

import { apiKey } from "../../harness/service/environment.ts";
import { benchDatabase, benchService } from "../bench-service.ts";
import type { Figure } from "../figure.ts";
import { Outbound } from "../outbound.ts";

const endpoints = 100;
const transitionsAtOnce = 1000;
/** A port without a listener, and many endpoints, so that every delivery stays pending. */
const urlOf = (index: number) => `http://127.0.0.1:9/${index % endpoints}`;

/** Measures how long a service takes to be ready again after SIGKILL, with this number of active calls and a pending delivery for each. */
export async function measureRecovery(calls: number): Promise<Figure> {
  await using database = await benchDatabase();
  await fill(database.path, calls);
  await using service = await benchService({ DATABASE_URL: database.url, POLYAI_BASE_URL: "http://127.0.0.1:9", LOG_LEVEL: "silent" });
  await service.start(AbortSignal.timeout(60_000));
  await service.kill();
  const startedMs = performance.now();
  await service.start(AbortSignal.timeout(60_000));
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    name: `ready after kill -9, ${calls} active calls and as many pending deliveries`,
    value: seconds,
    shown: `${seconds.toFixed(2)} s, the process's start included`,
    bar: "<= 3 s",
    met: seconds <= 3,
  };
}

async function fill(path: string, count: number): Promise<void> {
  await using outbound = await Outbound.open(path, { sends: false, apiKey });
  const calls = await outbound.watch(count, "pending", urlOf);
  for (let from = 0; from < calls.length; from += transitionsAtOnce)
    await Promise.all(calls.slice(from, from + transitionsAtOnce).map((call) => outbound.see(call, "queued")));
}

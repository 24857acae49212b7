import { systemClock } from "../../../src/adapters/clock.ts";
import { readConfig } from "../../../src/service/config.ts";
import type { LeaseTimes } from "../../../src/engine/instances/membership.ts";
import { createService } from "../../../src/service/create-service.ts";

/** Settings for tests alone: a wrong wall clock, and leases short enough to wait for their end. */
export type InstanceTwists = { readonly clockOffMs?: number; readonly leaseTimes?: LeaseTimes };

const { clockOffMs = 0, leaseTimes } = JSON.parse(process.argv[2] ?? "{}") as InstanceTwists;
const result = readConfig();
if (result.kind === "invalid") throw new Error(result.faults.join("\n"));

const stopping = new AbortController();
process.on("SIGTERM", () => stopping.abort());
const service = await createService(result.config, result.secrets, {
  clock: { ...systemClock, nowMs: () => systemClock.nowMs() + clockOffMs },
  signal: stopping.signal,
  ...(leaseTimes === undefined ? {} : { leaseTimes }),
});
const stopRequested = new Promise<null>((resolve) => {
  stopping.signal.addEventListener("abort", () => resolve(null));
  if (stopping.signal.aborted) resolve(null);
});
const broken = await Promise.race([stopRequested, service.fatal]);
if (broken !== null) throw broken;
await service.stop();
process.exit(0);

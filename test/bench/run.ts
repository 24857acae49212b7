import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Figure, NotMeasured } from "./figure.ts";
import { measureBullmq } from "./figures/bullmq.ts";
import { measureCrowdedLists } from "./figures/crowded-lists.ts";
import { measureDeadEndpoint } from "./figures/dead-endpoint.ts";
import { measureDeliveries } from "./figures/deliveries-against-loop.ts";
import { measureHeapPerCall } from "./figures/heap-per-call.ts";
import { measurePollerAgainstLoop } from "./figures/poller-against-loop.ts";
import { measureRecovery } from "./figures/recovery.ts";
import { measureRegistrations } from "./figures/registrations.ts";
import { measureStoresRoundTrip } from "./figures/stores-round-trip.ts";
import { measureTwoInstances } from "./figures/two-instances.ts";
import { measureWatchedCalls } from "./figures/watched-calls.ts";

// `npm run bench` measures; `-- --short` only shows that every figure can still be measured, in a few seconds.

const { values } = parseArgs({ options: { short: { type: "boolean", default: false } } });

console.log(`Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown"}`);
const figures: Figure[] = [];
const notMeasured: NotMeasured[] = [];
figures.push(await measureHeapPerCall(values.short ? 10_000 : 100_000));
figures.push(await measurePollerAgainstLoop(values.short ? 500 : 5000));
figures.push(values.short ? await measureStoresRoundTrip(500, 1) : await measureStoresRoundTrip(5000, 3));
figures.push(...(values.short ? await measureWatchedCalls(1000, 10_000, 3000) : await measureWatchedCalls(10_000, 60_000, 30_000)));
figures.push(await measureDeliveries(values.short ? 500 : 5000));
figures.push(...(await measureRegistrations(values.short ? 500 : 5000)));
figures.push(await (values.short ? measureDeadEndpoint(1000, 1000) : measureDeadEndpoint(10_000, 10_000)));
figures.push(...(await measureCrowdedLists(values.short ? 20_000 : 1_000_000)));
figures.push(await measureRecovery(values.short ? 2000 : 100_000));
figures.push(
  await measureTwoInstances(values.short ? { calls: 200, warmUpCalls: 100, rounds: 1 } : { calls: 2000, warmUpCalls: 1000, rounds: 3 }),
);
const againstBullmq = await measureBullmq(
  values.short
    ? { calls: 300, intervalMs: 60, warmUpLimitMs: 30_000, measureMs: 1000 }
    : { calls: 4000, intervalMs: 200, warmUpLimitMs: 60_000, measureMs: 10_000 },
);
if ("reason" in againstBullmq) notMeasured.push(againstBullmq);
else figures.push(againstBullmq);
for (const { name, shown, bar, met } of figures) console.log(`${met ? "met " : "MISS"}  ${name}: ${shown}; bar ${bar}`);
for (const { name, reason } of notMeasured) console.log(`NOT MEASURED  ${name}: ${reason}`);
process.exit(figures.every(({ value }) => Number.isFinite(value)) ? 0 : 1);

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Figure } from "./figure.ts";
import { measurePollerAgainstLoop } from "./figures/poller-against-loop.ts";
import { measureStoresRoundTrip } from "./figures/stores-round-trip.ts";
import { measureWatchedCalls } from "./figures/watched-calls.ts";

// `npm run bench` measures; `-- --short` only shows that every figure can still be measured, in a few seconds.

const { values } = parseArgs({ options: { short: { type: "boolean", default: false } } });

console.log(`Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown"}`);
const figures: Figure[] = [];
figures.push(await measurePollerAgainstLoop(values.short ? 500 : 5000));
figures.push(values.short ? await measureStoresRoundTrip(500, 1) : await measureStoresRoundTrip(5000, 3));
figures.push(...(values.short ? await measureWatchedCalls(1000, 5000, 3000) : await measureWatchedCalls(10_000, 10_000, 30_000)));
for (const { name, shown, bar, met } of figures) console.log(`${met ? "met " : "MISS"}  ${name}: ${shown}; bar ${bar}`);
process.exit(figures.every(({ value }) => Number.isFinite(value)) ? 0 : 1);

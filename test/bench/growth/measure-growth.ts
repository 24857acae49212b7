import { stat } from "node:fs/promises";
import { benchDatabase } from "../bench-service.ts";
import { startChild } from "../child.ts";
import { measureHeapPerCall } from "../figures/heap-per-call.ts";
import { alternate, median } from "../machine/alternation.ts";
import { fillDatabase } from "./filled-database.ts";
import type { Fill } from "./filled-database.ts";
import { measureGrown } from "./one-life.ts";
import type { Grown, GrowthLife, GrowthLoad } from "./one-life.ts";

/** Medians of all rounds. */
export type GrowthRow = Fill & GrowthLife & { readonly heapPerCallBytes: number; readonly databaseBytes: number };

const quantities = ["readySeconds", "residentBytes", "cpuMsPerPoll", "pollsPerSecond", "p50Ms", "p99Ms"] as const;

/** Measures the service on databases of different sizes, in alternation. Each database is filled once; they are removed at the end. */
export async function measureGrowth(fills: readonly Fill[], rounds: number, load: GrowthLoad): Promise<readonly GrowthRow[]> {
  await using started = new AsyncDisposableStack();
  const sizes = new Map<Fill, Grown & { readonly databaseBytes: number }>();
  for (const fill of fills) {
    const [upstream, sink] = await Promise.all([startChild("./upstream.ts"), startChild("./sink.ts")]);
    for (const end of [upstream, sink]) started.use(end);
    const database = started.use(await benchDatabase());
    await fillDatabase(database.path, sink.port, fill);
    const { size } = await stat(database.path);
    sizes.set(fill, { databaseUrl: database.url, calls: fill.activeCalls, upstream, sink, databaseBytes: size });
  }
  const lives = await alternate(rounds, new Map([...sizes].map(([fill, grown]) => [fill, () => measureGrown(grown, load)])));
  const rows: GrowthRow[] = [];
  for (const [fill, ofFill] of lives) {
    const medians = Object.fromEntries(quantities.map((name) => [name, median(ofFill.map((life) => life[name]))])) as GrowthLife;
    const { value } = await measureHeapPerCall(fill.activeCalls);
    rows.push({ ...fill, ...medians, heapPerCallBytes: value, databaseBytes: sizes.get(fill)?.databaseBytes ?? Number.NaN });
  }
  return rows;
}

import { printFigures } from "./figure.ts";
import type { Figure } from "./figure.ts";
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

/** Measures the figures and prints them with their bars. Resolves with whether every value is finite. */
export async function runFigures(isShort: boolean): Promise<boolean> {
  const figures: Figure[] = [];
  figures.push(await measureHeapPerCall(isShort ? 10_000 : 100_000));
  figures.push(await measurePollerAgainstLoop(isShort ? 500 : 5000));
  figures.push(isShort ? await measureStoresRoundTrip(500, 1) : await measureStoresRoundTrip(5000, 3));
  figures.push(...(isShort ? await measureWatchedCalls(1000, 10_000, 3000) : await measureWatchedCalls(10_000, 60_000, 30_000)));
  figures.push(await measureDeliveries(isShort ? 500 : 5000));
  figures.push(...(await measureRegistrations(isShort ? 500 : 5000)));
  figures.push(await (isShort ? measureDeadEndpoint(1000, 1000) : measureDeadEndpoint(10_000, 10_000)));
  figures.push(await measureCrowdedLists(isShort ? 20_000 : 1_000_000));
  figures.push(await measureRecovery(isShort ? 2000 : 100_000));
  figures.push(
    await measureTwoInstances(isShort ? { calls: 200, warmUpCalls: 100, rounds: 1 } : { calls: 2000, warmUpCalls: 1000, rounds: 3 }),
  );
  return printFigures(figures);
}

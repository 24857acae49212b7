import { printFigures } from "./figure.ts";
import type { Figure } from "./figure.ts";
import { measureCrowdedLists } from "./figures/crowded-lists.ts";
import { measureDeadEndpoint } from "./figures/dead-endpoint.ts";
import { measureDeliveries } from "./figures/deliveries-against-loop.ts";
import { measureHeapPerCall } from "./figures/heap-per-call.ts";
import { measurePollerAgainstLoop } from "./figures/poller-against-loop.ts";
import { measurePromotedByPoller } from "./figures/promoted-by-poller.ts";
import { measureRecovery } from "./figures/recovery.ts";
import { measureRegistrations } from "./figures/registrations.ts";
import { measureStoresRoundTrip } from "./figures/stores-round-trip.ts";
import { measureTwoInstances } from "./figures/two-instances.ts";
import { measureWatchedCalls } from "./figures/watched-calls.ts";
import type { LifeLoad } from "./peers/one-life.ts";

/** Alternations whose median counts. */
const rounds = 5;
/** 3,000 polls a second. */
const wholeLoad: LifeLoad = { calls: 10_000, intervalMs: 3333, warmUpLimitMs: 60_000, settleMs: 5000, measureMs: 15_000 };
const shortLoad: LifeLoad = { calls: 500, intervalMs: 1000, warmUpLimitMs: 60_000, settleMs: 0, measureMs: 2000 };

/** Measures the figures and prints them with their bars. Resolves with whether every value is finite. */
export async function runFigures(isShort: boolean): Promise<boolean> {
  const figures: Figure[] = [];
  figures.push(await measureHeapPerCall(isShort ? 10_000 : 100_000));
  figures.push(await (isShort ? measurePollerAgainstLoop(500, 1) : measurePollerAgainstLoop(5000, rounds)));
  figures.push(await (isShort ? measurePromotedByPoller(2000, 2000) : measurePromotedByPoller(10_000, 20_000)));
  figures.push(isShort ? await measureStoresRoundTrip(500, 1) : await measureStoresRoundTrip(5000, rounds));
  figures.push(...(await (isShort ? measureWatchedCalls(shortLoad, 1) : measureWatchedCalls(wholeLoad, rounds))));
  figures.push(...(await (isShort ? measureDeliveries(500, 1) : measureDeliveries(5000, rounds))));
  figures.push(...(await measureRegistrations(isShort ? 500 : 5000)));
  figures.push(await (isShort ? measureDeadEndpoint(1000, 1000) : measureDeadEndpoint(10_000, 10_000)));
  figures.push(...(await measureCrowdedLists(isShort ? 20_000 : 1_000_000)));
  figures.push(await measureRecovery(isShort ? 2000 : 100_000));
  figures.push(
    await measureTwoInstances(isShort ? { calls: 200, warmUpCalls: 100, rounds: 1 } : { calls: 2000, warmUpCalls: 1000, rounds: 3 }),
  );
  return printFigures(figures);
}

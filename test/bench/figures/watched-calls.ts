import type { Figure } from "../figure.ts";
import { alternate, median } from "../machine/alternation.ts";
import { measureLife } from "../peers/one-life.ts";
import type { Life, LifeLoad } from "../peers/one-life.ts";
import { bareLoop, ringbackOnSqlite } from "../peers/peers.ts";
import type { Peer } from "../peers/peers.ts";

/** Of the polls; what the upstream does. */
const transitionShare = 0.1;
/** What is not done costs nothing. */
const leastShareOfLoad = 0.9;

/** The running service against a bare loop that polls, posts and stamps at the same load, in alternation. */
export async function measureWatchedCalls(load: LifeLoad, rounds: number): Promise<readonly Figure[]> {
  const lives = await alternate(rounds, new Map([ringbackOnSqlite, bareLoop].map((peer) => [peer, () => measureLife(peer, load)])));
  const livesOf = (peer: Peer) => (lives.get(peer) ?? []).filter((life) => life !== null);
  return figuresOf(load, livesOf(ringbackOnSqlite), livesOf(bareLoop));
}

function figuresOf({ calls, intervalMs }: LifeLoad, service: readonly Life[], loop: readonly Life[]): readonly Figure[] {
  const intended = (calls / intervalMs) * 1000 * transitionShare;
  const perSecond = middle(service, (life) => life.perSecond);
  const isAtLoad = perSecond >= leastShareOfLoad * intended;
  const atLoad = `${calls} calls, each polled every ${(intervalMs / 1000).toFixed(1)} s`;
  // For each webhook with its polls, so that a rate that was not reached does not count.
  const cpuRatio = median(service.map((life, round) => life.serviceCpuMs / (loop[round] ?? life).serviceCpuMs));
  const p50More = median(service.map((life, round) => life.p50Ms - (loop[round] ?? life).p50Ms));
  const p99Ratio = median(service.map((life, round) => life.p99Ms / (loop[round] ?? life).p99Ms));
  // The absolute bar needs a quiet machine; a neighbour only makes it harder to meet.
  const isFast = middle(service, p50) <= 4 && middle(service, p99) <= 20;
  const mib = middle(service, (life) => life.serviceMib);
  return [
    {
      name: `CPU of the service against a bare poll-and-post loop at ${atLoad}`,
      value: cpuRatio,
      shown: `${cpuRatio.toFixed(2)} (${percent(service, cpuShare)} of one core, ${percent(service, mainShare)} in the main thread, against ${percent(loop, cpuShare)}; ${Math.round(perSecond)} of ${Math.round(intended)} webhooks/s)`,
      bar: "<= 1.25",
      met: cpuRatio <= 1.25 && isAtLoad,
    },
    {
      name: "transition seen to first byte at the receiver, at that load",
      value: p50More,
      shown: `p50 ${ms(service, p50)} against ${ms(loop, p50)}, p99 ${ms(service, p99)} against ${ms(loop, p99)} (${p99Ratio.toFixed(1)} times)`,
      bar: "p50 <= 4 ms and p99 <= 20 ms on a quiet machine, else p50 at most 3 ms above and p99 at most 2.5 times the bare loop's",
      met: (isFast || (p50More <= 3 && p99Ratio <= 2.5)) && isAtLoad,
    },
    { name: `RSS of the service at ${atLoad}`, value: mib, shown: `${Math.round(mib)} MiB`, bar: "<= 256 MiB", met: mib <= 256 },
  ];
}

function cpuShare(life: Life): number {
  return (life.serviceCpuMs * life.perSecond) / 1000;
}

function mainShare(life: Life): number {
  return (life.mainThreadCpuMs * life.perSecond) / 1000;
}

function p50(life: Life): number {
  return life.p50Ms;
}

function p99(life: Life): number {
  return life.p99Ms;
}

function middle(lives: readonly Life[], quantity: (life: Life) => number): number {
  return median(lives.map(quantity));
}

function percent(lives: readonly Life[], quantity: (life: Life) => number): string {
  return `${(middle(lives, quantity) * 100).toFixed(1)} %`;
}

function ms(lives: readonly Life[], quantity: (life: Life) => number): string {
  return `${middle(lives, quantity).toFixed(1)} ms`;
}

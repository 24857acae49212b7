import type { Figure } from "../figure.ts";
import { alternate, median } from "../machine/alternation.ts";
import { countLosses } from "./losses.ts";
import type { KillLoad, Losses } from "./losses.ts";
import { measureLife } from "./one-life.ts";
import type { Life, LifeLoad } from "./one-life.ts";
import { startPostgres } from "./peer-store.ts";
import { peersOn, ringbackOnSqlite } from "./peers.ts";
import type { Peer } from "./peers.ts";

export type PeersLoad = {
  readonly rounds: number;
  /** Asks for more polls than any peer can do: the rate it reaches, and what a webhook costs there with the ten polls behind it. */
  readonly full: LifeLoad;
  /** Asks for what every peer can do: the latency, without a queue of the peer's own making. `null`: not measured. */
  readonly steady: LifeLoad | null;
  /** `null`: not measured. */
  readonly kills: KillLoad | null;
};

/** Medians of all rounds, of one peer. */
export type PeerRow = {
  readonly peer: Peer;
  readonly full: Life;
  readonly steady: Life | null;
  readonly losses: Losses | null;
};

/** Row of a peer whose store this machine lacks. */
export type MissingPeer = { readonly peer: Peer; readonly full: null };

const quantities = ["perSecond", "serviceCpuMs", "mainThreadCpuMs", "storeCpuMs", "p50Ms", "p99Ms", "serviceMib", "storeMib"] as const;

/** Measures all peers at the same job, in alternation, with the processes of all others stopped. Every life is logged to standard error. */
export async function measurePeers(load: PeersLoad): Promise<readonly (PeerRow | MissingPeer)[]> {
  await using server = await startPostgres();
  const peers = peersOn(server);
  const rounds = await alternate(load.rounds, new Map(peers.map((peer) => [peer, () => measureRound(peer, load)])));
  const rows: (PeerRow | MissingPeer)[] = [];
  for (const [peer, lives] of rounds) {
    const full = medianLife(lives.map((life) => life.full));
    if (full === null) rows.push({ peer, full });
    else
      rows.push({
        peer,
        full,
        steady: medianLife(lives.map((life) => life.steady)),
        losses: load.kills && (await countAndLogLosses(peer, load.kills)),
      });
  }
  return rows;
}

async function measureRound(peer: Peer, { full, steady }: PeersLoad): Promise<Record<"full" | "steady", Life | null>> {
  const lives = { full: await measureLife(peer, full), steady: steady && (await measureLife(peer, steady)) };
  console.error(`${peer.name}: ${JSON.stringify(lives)}`);
  return lives;
}

async function countAndLogLosses(peer: Peer, load: KillLoad): Promise<Losses | null> {
  const losses = await countLosses(peer, load);
  console.error(`${peer.name}: ${JSON.stringify(losses)}`);
  return losses;
}

function medianLife(lives: readonly (Life | null)[]): Life | null {
  const measured = lives.filter((life) => life !== null);
  if (measured.length === 0) return null;
  return Object.fromEntries(quantities.map((name) => [name, median(measured.map((life) => life[name]))])) as Life;
}

/** Holds the rows against the bars: five times better than every queue. */
export function figuresOfPeers(rows: readonly (PeerRow | MissingPeer)[]): readonly Figure[] {
  const measured = rows.filter((row) => row.full !== null);
  const ours = measured.find(({ peer }) => peer === ringbackOnSqlite);
  if (ours === undefined) return [];
  return measured
    .filter(({ peer }) => peer.isQueue)
    .map(({ peer, full }) => {
      const rate = ours.full.perSecond / full.perSecond;
      const cpu = cpuMs(full) / cpuMs(ours.full);
      return {
        name: `webhooks/s and CPU per webhook of ${ringbackOnSqlite.name} against ${peer.name}`,
        value: Math.min(rate, cpu),
        shown: `${rate.toFixed(1)} and ${cpu.toFixed(1)}`,
        bar: ">= 5 in both",
        met: rate >= 5 && cpu >= 5,
      };
    });
}

function cpuMs(life: Life): number {
  return life.serviceCpuMs + life.storeCpuMs;
}

import { setTimeout } from "node:timers/promises";
import { withPeer } from "./one-life.ts";
import type { PeerAtWork } from "./one-life.ts";
import type { Peer } from "./peers.ts";

const lookEveryMs = 100;

export type KillLoad = { readonly calls: number; readonly intervalMs: number; readonly kills: number; readonly betweenMs: number };

/** Transitions that a poll had read, and those of them whose webhook never arrived. */
export type Losses = { readonly read: number; readonly lost: number };

/**
 * Counts what a peer loses at `kill -9` of its process under load; `null` if this machine lacks its store. The upstream stands still
 * from the kill until the restarted process has sent everything, so that no status passes while nothing polls. The sink
 * refuses every tenth webhook with 503, so that retries are pending at each kill. Peers without a store are given their calls
 * again, as if a client had registered them a second time.
 */
export function countLosses(peer: Peer, load: KillLoad): Promise<Losses | null> {
  return withPeer(peer, load, async (atWork) => {
    await atWork.sink.ask("audit");
    let missing: ReadonlySet<string> = new Set();
    for (let kill = 0; kill < load.kills; kill++) {
      await atWork.upstream.ask("thaw");
      await setTimeout(load.betweenMs);
      await atWork.running.kill();
      await atWork.upstream.ask("freeze");
      await atWork.running.startAgain();
      missing = await missingWhenIdle(atWork, peer.recoveryMs, missing);
    }
    return { read: ((await atWork.upstream.ask("served")) as string[]).length, lost: missing.size };
  });
}

/** Returns what has not arrived when all but `known` has, or when nothing new has come for `quietMs`. */
async function missingWhenIdle({ upstream, sink }: PeerAtWork, quietMs: number, known: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  let [count, lastChangeMs] = [-1, performance.now()];
  for (;;) {
    const arrived = new Set((await sink.ask("transitions")) as string[]);
    const missing = new Set(((await upstream.ask("served")) as string[]).filter((transition) => !arrived.has(transition)));
    if ([...missing].every((transition) => known.has(transition))) return missing;
    if (missing.size !== count) [count, lastChangeMs] = [missing.size, performance.now()];
    if (performance.now() - lastChangeMs > quietMs) return missing;
    await setTimeout(lookEveryMs);
  }
}

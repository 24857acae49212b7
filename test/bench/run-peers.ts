import { printFigures } from "./figure.ts";
import { figuresOfPeers, measurePeers } from "./peers/measure-peers.ts";
import type { PeersLoad } from "./peers/measure-peers.ts";
import { peersTable } from "./peers/peers-table.ts";

export type PeersRun = { readonly isShort: boolean; readonly rounds: number; readonly kills: number };

const whole = {
  full: { calls: 2000, intervalMs: 100, warmUpLimitMs: 60_000, settleMs: 2000, measureMs: 5000 },
  steady: { calls: 600, intervalMs: 1000, warmUpLimitMs: 60_000, settleMs: 2000, measureMs: 6000 },
};
const killLoad = { calls: 300, intervalMs: 500, betweenMs: 2000 };
const short: PeersLoad = {
  rounds: 1,
  full: { calls: 50, intervalMs: 100, warmUpLimitMs: 30_000, settleMs: 0, measureMs: 200 },
  steady: null,
  kills: null,
};

/** Measures the peers and prints their table. Resolves with whether every value is finite. */
export async function runPeers({ isShort, rounds, kills }: PeersRun): Promise<boolean> {
  const load = isShort ? short : { ...whole, rounds, kills: { ...killLoad, kills } };
  const rows = await measurePeers(load);
  console.log(`\n${peersTable(rows)}\n`);
  console.log(
    `Medians of ${load.rounds}. At full load ${load.full.calls} calls are due every ${load.full.intervalMs} ms.${load.kills === null ? "" : ` ${load.kills.kills} kills under load, a tenth of the webhooks refused once.`}`,
  );
  return printFigures(figuresOfPeers(rows));
}

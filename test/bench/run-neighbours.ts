import { printFigures } from "./figure.ts";
import { figuresOfNeighbours, measureAllNeighbours } from "./neighbours/measure-neighbours.ts";
import { neighboursTable } from "./neighbours/neighbours-table.ts";
import type { NeighboursLoad } from "./neighbours/one-life.ts";

const whole: NeighboursLoad = { everyMs: 100, warmUpMs: 2000, quietMs: 6000, attackMs: 8000, scale: 1 };
const short: NeighboursLoad = { everyMs: 100, warmUpMs: 500, quietMs: 1000, attackMs: 1500, scale: 10 };

/** Measures a quiet account beside each attack and prints the table. Resolves with whether every value is finite. */
export async function runNeighbours(given: {
  readonly isShort: boolean;
  readonly rounds: number;
  readonly only: string;
}): Promise<boolean> {
  const rounds = given.isShort ? 1 : given.rounds;
  const load = given.isShort ? short : whole;
  const rows = await measureAllNeighbours(rounds, load, new RegExp(given.only));
  console.log(`\n${neighboursTable(rows)}\n`);
  console.log(
    `Medians of ${rounds}. The quiet account registers ${1000 / load.everyMs} calls a second, ${load.quietMs / 1000} s alone and ${load.attackMs / 1000} s beside the other account.`,
  );
  return printFigures(figuresOfNeighbours(rows));
}

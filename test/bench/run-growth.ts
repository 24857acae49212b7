import { printFigures } from "./figure.ts";
import type { Figure } from "./figure.ts";
import { growthTable } from "./growth/growth-table.ts";
import type { GrowthRow } from "./growth/measure-growth.ts";
import { measureGrowth } from "./growth/measure-growth.ts";

const sizes = (scale: number, ended: number) =>
  [1000, 10_000, 100_000, 1_000_000]
    .map((calls) => ({ activeCalls: calls / scale, endedDeliveries: 0 }))
    .concat({ activeCalls: 10_000 / scale, endedDeliveries: ended });
const maxRssMib = 256;
const bytesPerMib = 2 ** 20;

/** Measures growing databases and prints their table. Resolves with whether every value is finite. */
export async function runGrowth(given: { readonly isShort: boolean; readonly rounds: number }): Promise<boolean> {
  const { isShort } = given;
  const rounds = isShort ? 1 : given.rounds;
  const load = isShort
    ? { pollsPerSecond: 200, settleMs: 500, measureMs: 1000 }
    : { pollsPerSecond: 1000, settleMs: 3000, measureMs: 8000 };
  const rows = await measureGrowth(isShort ? sizes(10, 100_000) : sizes(1, 10_000_000), rounds, load);
  console.log(`\n${growthTable(rows)}\n`);
  console.log(
    `Medians of ${rounds}. ${load.pollsPerSecond} polls/s in all rows, a tenth of them with a webhook; a call is polled once in calls / ${load.pollsPerSecond} seconds.`,
  );
  return printFigures(rows.filter(({ activeCalls, endedDeliveries }) => activeCalls === 10_000 && endedDeliveries === 0).map(memoryFigure));
}

function memoryFigure({ residentBytes }: GrowthRow): Figure {
  const mib = residentBytes / bytesPerMib;
  return { name: "RSS at 10,000 calls", value: mib, shown: `${Math.round(mib)} MiB`, bar: `<= ${maxRssMib} MiB`, met: mib <= maxRssMib };
}

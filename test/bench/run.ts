import { parseArgs } from "node:util";
import { machineLine, withStolenTime } from "./machine/machine.ts";
import { runFigures } from "./run-figures.ts";
import { runGrowth } from "./run-growth.ts";
import { runPeers } from "./run-peers.ts";

// `npm run bench` measures the figures, `-- peers` the same job done by others, `-- growth` more calls and rows.
// `-- --short` only shows that every figure and peer can still be measured, in a minute or two.

const { values, positionals } = parseArgs({ options: { short: { type: "boolean", default: false } }, allowPositionals: true });
const [suite = "figures"] = positionals;
const suites = new Map<string, (isShort: boolean) => Promise<boolean>>([
  ["figures", async (isShort) => (await runFigures(isShort)) && (!isShort || (await runPeers(true)))],
  ["peers", runPeers],
  ["growth", runGrowth],
]);
const run = suites.get(suite);
if (run === undefined) throw new Error(`"${suite}" is none of: ${[...suites.keys()].join(", ")}`);

console.log(`${machineLine()}, ${new Date().toISOString().slice(0, 10)}, npm run bench -- ${process.argv.slice(2).join(" ")}`);
const { result: areFinite, stolen } = await withStolenTime(() => run(values.short));
console.log(stolen);
process.exit(areFinite ? 0 : 1);

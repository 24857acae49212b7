import { parseArgs } from "node:util";
import { machineLine, withStolenTime } from "./machine/machine.ts";
import { runFigures } from "./run-figures.ts";
import { runFreshness } from "./run-freshness.ts";
import { runGrowth } from "./run-growth.ts";
import { runNeighbours } from "./run-neighbours.ts";
import { runPeers } from "./run-peers.ts";
import { runReaders } from "./run-readers.ts";

// `npm run bench` measures the figures, `-- peers` the same job done by others, `-- growth` more calls and rows,
// `-- readers` what an event costs for each waiting reader,
// `-- neighbours` an account beside others that burden the service, `-- freshness` (simulated, in seconds) how late changes are observed,
// `-- freshness --running` by running services too.
// `-- --short` only shows that everything can still be measured, in a minute or two.
// `--rounds` and `--kills` shorten a run of peers, growth or neighbours. `--only` is a regular expression for the attacks and stores of neighbours.

const { values, positionals } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    kills: { type: "string", default: "10" },
    running: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  },
  allowPositionals: true,
});
const [suite = "figures"] = positionals;
const [rounds, kills] = [Number(values.rounds), Number(values.kills)];
const suites = new Map<string, () => Promise<boolean>>([
  ["figures", async () => (await runFigures(values.short)) && (!values.short || (await runPeers({ isShort: true, rounds, kills })))],
  ["peers", () => runPeers({ isShort: values.short, rounds, kills })],
  ["growth", () => runGrowth({ isShort: values.short, rounds })],
  ["freshness", () => runFreshness({ isShort: values.short, isRunning: values.running })],
  ["readers", () => runReaders({ isShort: values.short })],
  ["neighbours", () => runNeighbours({ isShort: values.short, rounds, only: values.only })],
]);
const run = suites.get(suite);
if (run === undefined) throw new Error(`"${suite}" is none of: ${[...suites.keys()].join(", ")}`);

console.log(`${machineLine()}, ${new Date().toISOString().slice(0, 10)}, npm run bench -- ${process.argv.slice(2).join(" ")}`);
const { result: areFinite, stolen } = await withStolenTime(run);
console.log(stolen);
process.exit(areFinite ? 0 : 1);

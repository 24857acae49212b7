import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { plants } from "./plants.ts";
import { simulate } from "./simulate.ts";

/*
 * The long form: `npm run test:simulate -- --seeds 20000 [--from 1] [--workers 2] [--keep-going]`. Ends with exit code 1
 * and, for a seed that fails, its promise, its shrunken world and a timeline. `--plant <name>` (or `all`) plants a bug of
 * plants.ts and says how many seeds it took to find it.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    workers: { type: "string", default: String(availableParallelism()) },
    plant: { type: "string" },
    "keep-going": { type: "boolean", default: false },
    "no-shrink": { type: "boolean", default: false },
  },
});
const write = (text: string) => void process.stdout.write(`${text}\n`);
const from = Number(values.from);
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => from + index);
const options = { seeds, workers: Number(values.workers) };

if (values.plant === undefined) {
  const result = await simulate({ ...options, plant: null, keepsGoing: values["keep-going"], shrinks: !values["no-shrink"], write });
  write(`${result.lived} seeds, ${result.failures.length} failed, ${result.seedsPerSecond.toFixed(1)} a second`);
  for (const { seed, rule, detail } of result.failures) write(`  seed ${seed}: ${rule}: ${detail.slice(0, 200)}`);
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} else {
  const chosen = values.plant === "all" ? plants : plants.filter(({ name }) => name === values.plant);
  if (chosen.length === 0) {
    write(`no plant ${values.plant}; there are: ${plants.map(({ name }) => name).join(", ")}`);
    process.exitCode = 2;
  }
  for (const plant of chosen) {
    const { lived, failures, plantEffects } = await simulate({
      ...options,
      plant: plant.name,
      keepsGoing: false,
      shrinks: false,
      write: () => undefined,
    });
    const [found] = failures;
    if (found === undefined) process.exitCode = 1;
    // Such a plant proves nothing: the code that it changes has changed.
    if (plantEffects === 0) write(`ERROR: the plant ${plant.name} took no effect in ${lived} seeds`);
    write(
      `| ${plant.name} | ${plant.what} | ${found === undefined ? `not found in ${lived}` : found.seed - from + 1} | ${found?.rule ?? ""} | ${plantEffects} effects |`,
    );
  }
}

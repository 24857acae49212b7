import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";

/*
 * The long form: `npm run fuzz` (`-- --requests 5000 --seed 7`). Ends with exit code 1 and the request at fault, or with
 * what was answered and what the heap came to.
 */
const { values } = parseArgs({ options: { requests: { type: "string", default: "100000" }, seed: { type: "string" } } });
const requests = Number(values.requests);
const seed = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
const maxGrowthBytesPerRequest = 200;
const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

process.stdout.write(`${requests} requests, seed ${seed}\n`);
const report = await fuzz({
  requests,
  seed,
  onProgress: (done, heapBytes) => {
    if (done % 5000 === 0) process.stdout.write(`${done} (heap ${mebibytes(heapBytes)})\n`);
  },
});
const { early, late } = report.heapBytes;
process.stdout.write(`${JSON.stringify(report.statuses)}\nheap ${mebibytes(early)} after a tenth, ${mebibytes(late)} after all\n`);
if (late - early > Math.max(8 * 1024 * 1024, requests * maxGrowthBytesPerRequest)) {
  process.stderr.write("the heap grows with the requests\n");
  process.exitCode = 1;
}

import { setTimeout } from "node:timers/promises";
import { startPollerAlone } from "./poller-alone.ts";

// Polls 10,000 calls every 3.3 s for a time that it is given, and prints from which of its milliseconds on it counted how many polls.
// Run with `--trace-gc-nvp`, it prints its collections with the same clock.

const maxPollsPerSecond = 3000;
const [baseUrl = "", warmUpMs, measureMs] = process.argv.slice(2);
const poller = await startPollerAlone(baseUrl, { calls: 10_000, maxPollsPerSecond, intervalMinMs: 2000, intervalMaxMs: 5000 });
await setTimeout(Number(warmUpMs));
const [fromMs, pollsBefore] = [performance.now(), poller.polls()];
await setTimeout(Number(measureMs));
const seconds = (performance.now() - fromMs) / 1000;
process.stdout.write(`measured fromMs=${Math.round(fromMs)} seconds=${seconds} polls=${poller.polls() - pollsBefore}\n`, () =>
  process.exit(0),
);

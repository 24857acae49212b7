import { printFigures } from "./figure.ts";
import type { Figure } from "./figure.ts";
import { percentile } from "./figure.ts";
import { stationaryMixes } from "./freshness/mixes.ts";
import type { Mix } from "./freshness/mixes.ts";
import { closedFormOptimum, numericOptimum } from "./freshness/optimum.ts";
import type { OptimalDelays } from "./freshness/optimum.ts";
import { runRunningFreshness } from "./freshness/running-service.ts";
import { simulate } from "./freshness/simulate.ts";
import type { SimulatedRun } from "./freshness/simulate.ts";

const pollsPerSecond = 200;
const seeds = [1, 2, 3, 4, 5];

type Delays = OptimalDelays & { readonly polls: number };
type Row = {
  readonly name: string;
  readonly calls: number;
  readonly even: Delays;
  readonly learned: Delays;
  readonly optimum: OptimalDelays;
};
type Case = Pick<SimulatedRun, "calls" | "mixAfter" | "warmUpChanges" | "measuredChanges"> & { readonly name: string; readonly mix: Mix };

/**
 * Simulates the schedules on known mixes and prints their delays; with `isRunning`, measures running services beside it, which
 * takes ten minutes. Resolves with whether every value is finite.
 */
export async function runFreshness({ isShort, isRunning }: { readonly isShort: boolean; readonly isRunning: boolean }): Promise<boolean> {
  const [changes, measured] = isShort ? [500, 500] : [2000, 4000];
  const stationary = (calls: number) =>
    Object.entries(stationaryMixes).map(([name, mix]) => ({
      name,
      mix,
      calls,
      mixAfter: () => mix,
      // With 20,000 calls the histogram is full before a call has been polled a few times.
      warmUpChanges: (changes * calls) / 2000,
      measuredChanges: (measured * calls) / 2000,
    }));
  const rows = [...stationary(2000), shifted(changes, measured), ...stationary(20_000)].map((given) =>
    measure(given, isShort ? [1] : seeds.slice(0, given.calls > 2000 ? 2 : 5)),
  );
  console.log(`\n${table(rows)}\n`);
  console.log(`Seconds from a change to the poll that observes it: mean / p50 / p95 / p99. ${pollsPerSecond} polls/s at most.`);
  const areFinite = printFigures(rows.flatMap(figuresOf));
  if (!isRunning) return areFinite;
  const simulated = rows.find(({ name, calls }) => name === "40 % at 28 s" && calls === 2000);
  const simulatedRatio = simulated === undefined ? Number.NaN : simulated.learned.mean / simulated.even.mean;
  return (await runRunningFreshness({ warmUpChanges: 2 * changes, measuredChanges: measured, simulatedRatio })) && areFinite;
}

/** A mix that changes in the middle: new calls end sharply where most were long before. */
function shifted(changes: number, measured: number): Case {
  const [before, after] = [stationaryMixes["lognormal, sigma 0.5"], stationaryMixes["40 % at 28 s"]] as [Mix, Mix];
  return {
    name: "lognormal, then 40 % at 28 s",
    mix: after,
    calls: 2000,
    mixAfter: (changed) => (changed < changes ? before : after),
    // The 2,000 calls of before change first.
    warmUpChanges: 2 * changes + 2000,
    measuredChanges: measured,
  };
}

function measure(given: Case, ofSeeds: readonly number[]): Row {
  const delays = (schedule: SimulatedRun["schedule"]): Delays => {
    const runs = ofSeeds.map((seed) => simulate({ ...given, pollsPerSecond, schedule, seed }));
    const seconds = runs.flatMap(({ delaysMs }) => delaysMs.map((delayMs) => delayMs / 1000));
    return {
      mean: seconds.reduce((sum, delay) => sum + delay, 0) / seconds.length,
      p50: percentile(seconds, 0.5),
      p95: percentile(seconds, 0.95),
      p99: percentile(seconds, 0.99),
      polls: runs.reduce((sum, run) => sum + run.pollsPerSecond, 0) / runs.length,
    };
  };
  const even = delays("even");
  const question = { mix: given.mix, calls: given.calls, pollsPerSecond: even.polls };
  const optimum = given.calls > 2000 ? numericOptimum(question) : closedFormOptimum(question);
  return { name: given.name, calls: given.calls, even, learned: delays("learned"), optimum };
}

function cells({ mean, p50, p95, p99 }: OptimalDelays): string {
  return [mean, p50, p95, p99].map((delay) => delay.toFixed(delay < 20 ? 1 : 0)).join(" / ");
}

function table(rows: readonly Row[]): string {
  return [
    "| mix | calls | round-robin | learned | optimum | learned to round-robin | learned to optimum | polls/s, both |",
    "|---|---|---|---|---|---|---|---|",
    ...rows.map(
      ({ name, calls, even, learned, optimum }) =>
        `| ${name} | ${calls.toLocaleString("en")} | ${cells(even)} | ${cells(learned)} | ${cells(optimum)} | ${(learned.mean / even.mean).toFixed(2)} | ${(learned.mean / optimum.mean).toFixed(2)} | ${even.polls.toFixed(0)}, ${learned.polls.toFixed(0)} |`,
    ),
  ].join("\n");
}

function figuresOf({ name, calls, even, learned, optimum }: Row): readonly Figure[] {
  const figure = (what: string, value: number, most: number): Figure => ({
    name: `${name}, ${calls.toLocaleString("en")} calls: ${what}`,
    value,
    shown: value.toFixed(3),
    bar: `<= ${most}`,
    met: value <= most,
  });
  const p99 = figure("p99 to round-robin", learned.p99 / even.p99, 1.5);
  const polls = figure("polls to round-robin", learned.polls / even.polls, 1.005);
  if (calls > 2000) return [p99, polls];
  if (name === "exponential") return [figure("mean to round-robin", learned.mean / even.mean, 1.02), p99, polls];
  return [figure("mean to the optimum", learned.mean / optimum.mean, name.includes("then") ? 1.1 : 1.05), p99, polls];
}

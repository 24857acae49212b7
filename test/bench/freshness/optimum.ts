import type { Mix } from "./mixes.ts";

export type OptimumQuestion = {
  readonly mix: Mix;
  readonly calls: number;
  /** All polls a second, the first poll of each call included. */
  readonly pollsPerSecond: number;
};

/** A schedule with a known distribution of times. */
type Schedule = {
  readonly delayS: number;
  /** Polls of one call, the first included. */
  readonly polls: number;
  /** Returns the probability that a change is observed later than after `seconds`. */
  readonly later: (seconds: number) => number;
};

/** Delays in seconds. */
export type OptimalDelays = { readonly mean: number; readonly p50: number; readonly p95: number; readonly p99: number };

const stepS = 0.1;
const horizonS = 20_000;
const minS = 2;
const maxEvenIntervals = 5;

/**
 * Returns the delays of the least mean with a known distribution, if polls of a call come at a rate: with density f and
 * survival S the rate √(f/S) times a factor, kept within the bounds of the service. Without them the delay is
 * (∫√(fS))² / 2 over the mean time and the polls a second of a call. The factor spends what polls remain after the first poll of
 * each call; its last one comes half an interval late on average.
 */
export function closedFormOptimum({ mix, calls, pollsPerSecond }: OptimumQuestion): OptimalDelays {
  const steps = horizonS / stepS;
  const [density, survival] = [new Float64Array(steps), new Float64Array(steps)];
  let meanS = 0;
  for (let step = 0; step < steps; step++) {
    const [from, to] = [mix.survival(step * stepS), mix.survival((step + 1) * stepS)];
    survival[step] = (from + to) / 2;
    density[step] = (from - to) / stepS;
    meanS += (survival[step] as number) * stepS;
  }
  const leastRate = pollsPerSecond / calls / maxEvenIntervals;
  const at = (factor: number): Schedule => {
    let [delayS, polls] = [0, 1.5];
    const intervals = new Float64Array(steps);
    for (let step = 0; step < steps; step++) {
      const [f, s] = [density[step] as number, survival[step] as number];
      const perSecond = Math.min(1 / minS, Math.max(leastRate, factor * Math.sqrt(f / Math.max(s, 1e-12))));
      intervals[step] = 1 / perSecond;
      delayS += (f * stepS) / (2 * perSecond);
      polls += s * stepS * perSecond;
    }
    const later = (seconds: number) =>
      intervals.reduce((sum, intervalS, step) => sum + (density[step] as number) * stepS * Math.max(0, 1 - seconds / intervalS), 0);
    return { delayS, polls, later };
  };
  return delayAtRate(at, 1000, meanS, calls, pollsPerSecond);
}

/**
 * Returns the delays of the least mean of all schedules within the bounds, by dynamic programming over ages: also where
 * a call is polled only a few times, so that a rate says little. The price of a poll takes the place of the factor.
 */
export function numericOptimum({ mix, calls, pollsPerSecond }: OptimumQuestion): OptimalDelays {
  const evenS = calls / pollsPerSecond;
  const gridS = Math.max(0.5, evenS / 50);
  const steps = Math.ceil(horizonS / gridS);
  const survival = Float64Array.from({ length: steps + 1 }, (_, step) => mix.survival(step * gridS));
  const lived = new Float64Array(steps + 1);
  for (let step = 0; step < steps; step++) {
    let sum = 0;
    for (let part = 0; part < 10; part++) sum += mix.survival((step + (part + 0.5) / 10) * gridS);
    lived[step + 1] = (lived[step] as number) + (sum / 10) * gridS;
  }
  const [fewest, most] = [Math.ceil(minS / gridS), Math.floor((maxEvenIntervals * evenS) / gridS)];
  const cost = new Float64Array(steps + 1);
  const next = new Int32Array(steps + 1);
  const at = (price: number): Schedule => {
    for (let step = steps; step >= 0; step--) {
      const [s, l] = [survival[step] as number, lived[step] as number];
      let best = Infinity;
      for (let ahead = fewest; ahead <= most && step + ahead <= steps; ahead++) {
        const value = ahead * gridS * s - ((lived[step + ahead] as number) - l) + (cost[step + ahead] as number);
        if (value >= best) continue;
        best = value;
        next[step] = step + ahead;
      }
      if (best === Infinity) next[step] = steps + 1;
      cost[step] = (best === Infinity ? 0 : best) + price * s;
    }
    let [delayS, polls] = [0, 1];
    const spans: (readonly [number, number])[] = [];
    for (let step = 0; (next[step] ?? steps + 1) <= steps; step = next[step] as number) {
      const to = next[step] as number;
      spans.push([step * gridS, to * gridS]);
      polls += survival[step] as number;
      delayS += (to - step) * gridS * (survival[step] as number) - ((lived[to] as number) - (lived[step] as number));
    }
    const later = (seconds: number) =>
      spans.reduce((sum, [fromS, toS]) => sum + mix.survival(fromS) - mix.survival(Math.max(fromS, toS - seconds)), 0);
    return { delayS, polls, later };
  };
  return delayAtRate((factor) => at(1 / factor), 1000, lived[steps] as number, calls, pollsPerSecond);
}

/** Finds the factor, by bisection, at which calls in a row cost `pollsPerSecond`. More of it costs more polls. */
function delayAtRate(
  at: (factor: number) => Schedule,
  mostFactor: number,
  meanS: number,
  calls: number,
  pollsPerSecond: number,
): OptimalDelays {
  let [low, high] = [1e-5, mostFactor];
  for (let round = 0; round < 40; round++) {
    const factor = Math.sqrt(low * high);
    const { delayS, polls } = at(factor);
    if ((calls / (meanS + delayS)) * polls > pollsPerSecond) high = factor;
    else low = factor;
  }
  const { delayS, later } = at(low);
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => quantile(later, 1 - share)) as [number, number, number];
  return { mean: delayS, p50, p95, p99 };
}

function quantile(later: (seconds: number) => number, probability: number): number {
  let [low, high] = [0, horizonS];
  for (let round = 0; round < 40; round++) {
    const seconds = (low + high) / 2;
    if (later(seconds) > probability) low = seconds;
    else high = seconds;
  }
  return low;
}

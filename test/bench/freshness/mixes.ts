/** Distribution of the time that calls stay in a status, in seconds. */
export type Mix = {
  /** Draws a time; `random` returns numbers from 0 to 1. */
  readonly draw: (random: () => number) => number;
  /** Probability that the time exceeds `seconds`. */
  readonly survival: (seconds: number) => number;
};

/** The mixes of the benchmark. Calls last minutes, and some end at a sharp time without an answer. */
export const stationaryMixes: Readonly<Record<string, Mix>> = {
  "lognormal, sigma 0.5": lognormal(150, 0.5),
  "lognormal, sigma 0.8": lognormal(150, 0.8),
  "40 % at 28 s": mixture(0.4, normal(28, 1), lognormal(150, 0.5)),
  exponential: { draw: (random) => -150 * Math.log(1 - random()), survival: (seconds) => Math.exp(-seconds / 150) },
  // Pareto II with infinite variance and a mean of 3 min.
  "heavy tail": { draw: (random) => 180 * ((1 - random()) ** -0.5 - 1), survival: (seconds) => (1 + seconds / 180) ** -2 },
};

function lognormal(median: number, sigma: number): Mix {
  return {
    draw: (random) => median * Math.exp(sigma * gaussian(random)),
    survival: (seconds) => (seconds <= 0 ? 1 : normalTail(Math.log(seconds / median) / sigma)),
  };
}

function normal(mean: number, deviation: number): Mix {
  return {
    draw: (random) => Math.max(0.1, mean + deviation * gaussian(random)),
    survival: (seconds) => normalTail((seconds - mean) / deviation),
  };
}

function mixture(share: number, one: Mix, other: Mix): Mix {
  return {
    draw: (random) => (random() < share ? one : other).draw(random),
    survival: (seconds) => share * one.survival(seconds) + (1 - share) * other.survival(seconds),
  };
}

/** Box-Muller. */
function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Probability of a standard normal number above `x` (Abramowitz and Stegun 7.1.26, error below 1.5e-7). */
function normalTail(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = (poly * Math.exp(-z * z)) / 2;
  return x >= 0 ? tail : 1 - tail;
}

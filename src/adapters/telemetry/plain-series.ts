import type { Metric, Registry } from "prom-client";

/**
 * Series that are counted in plain numbers, and turned into samples at a scrape. The client library hashes and checks the
 * labels of every count, which costs 2 % of the main thread's time at 10,000 calls.
 */

type Labels = Readonly<Record<string, string>>;
type Sample = { readonly metricName: string; readonly labels: Labels; readonly value: number };

/** Counter with one label. Each of `values` is 0 from the beginning; others begin with their first count. */
export class PlainCounter {
  readonly #counts = new Map<string, { count: number }>();

  constructor(registry: Registry, { name, help, label }: { name: string; help: string; label: string }, values: readonly string[]) {
    for (const value of values) this.#counts.set(value, { count: 0 });
    register(registry, { name, help, type: "counter" }, () =>
      [...this.#counts].map(([value, { count }]) => ({ metricName: name, labels: { [label]: value }, value: count })),
    );
  }

  /** Begins a series with 0, unless it has begun. */
  begin(value: string): void {
    if (!this.#counts.has(value)) this.#counts.set(value, { count: 0 });
  }

  inc(value: string): void {
    const known = this.#counts.get(value);
    if (known === undefined) this.#counts.set(value, { count: 1 });
    else known.count += 1;
  }
}

/** Histogram of durations. `bounds` are the upper bounds of its buckets, ascending, in seconds. */
export class PlainHistogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    // The last bucket is that of everything beyond the bounds.
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Counts a duration in seconds; one below 0 counts as 0. */
  observe(seconds: number): void {
    const counted = Math.max(0, seconds);
    let bucket = 0;
    while (bucket < this.#bounds.length && counted > (this.#bounds[bucket] ?? Infinity)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += counted;
  }

  /** Registers this histogram as the only series of a name. */
  registerAs(registry: Registry, name: string, help: string): this {
    register(registry, { name, help, type: "histogram" }, () => this.samples(name, {}));
    return this;
  }

  samples(name: string, labels: Labels): readonly Sample[] {
    let count = 0;
    const buckets = [...this.#counts].map((ofBucket, index) => {
      count += ofBucket;
      return { metricName: `${name}_bucket`, labels: { le: String(this.#bounds[index] ?? "+Inf"), ...labels }, value: count };
    });
    return [...buckets, { metricName: `${name}_sum`, labels, value: this.#sum }, { metricName: `${name}_count`, labels, value: count }];
  }
}

/** Histograms of one name that differ in two labels, each created with its first duration. */
export class LabelledHistograms {
  readonly #bounds: readonly number[];
  readonly #byLabels = new Map<string, Map<string, PlainHistogram>>();

  constructor(
    registry: Registry,
    { name, help, labels: [outer, inner] }: { name: string; help: string; labels: readonly [string, string] },
    bounds: readonly number[],
  ) {
    this.#bounds = bounds;
    register(registry, { name, help, type: "histogram" }, () =>
      [...this.#byLabels].flatMap(([first, group]) =>
        [...group].flatMap(([second, histogram]) => histogram.samples(name, { [outer]: first, [inner]: second })),
      ),
    );
  }

  observe(first: string, second: string, seconds: number): void {
    let group = this.#byLabels.get(first);
    if (group === undefined) this.#byLabels.set(first, (group = new Map()));
    let histogram = group.get(second);
    if (histogram === undefined) group.set(second, (histogram = new PlainHistogram(this.#bounds)));
    histogram.observe(seconds);
  }
}

function register(
  registry: Registry,
  metric: { readonly name: string; readonly help: string; readonly type: "counter" | "histogram" },
  samplesOf: () => readonly Sample[],
): void {
  const get = async () => ({ ...metric, aggregator: "sum", values: samplesOf() });
  // A registry reads the name and `get` of a metric; the declared type has the methods of its own classes besides.
  registry.registerMetric({ name: metric.name, get } as unknown as Metric);
}

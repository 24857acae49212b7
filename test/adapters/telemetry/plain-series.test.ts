import fc from "fast-check";
import { Counter, Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { LabelledHistograms, PlainCounter, PlainHistogram } from "../../../src/adapters/telemetry/plain-series.ts";

const bounds = [0.001, 0.01, 0.25, 10];
const help = "What is counted.";
/** A duration: on a bound, between two and beyond the last. */
const seconds = fc.oneof(fc.constantFrom(0, ...bounds), fc.double({ min: 0, max: 100, noNaN: true }));

/** The sum of doubles depends on the order of addition alone, and both add in the same order. */
test("a scrape has the text that the client library would write", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(seconds), fc.array(fc.constantFrom("a", "b", 'odd "\\\n')), async (durations, values) => {
      const [plain, library] = [new Registry(), new Registry()];
      const registers = [library];
      const counter = new PlainCounter(plain, { name: "counted_total", help, label: "kind" }, []);
      const sameCounter = new Counter({ name: "counted_total", help, labelNames: ["kind"], registers });
      const histogram = new PlainHistogram(bounds).registerAs(plain, "lag_seconds", help);
      const sameHistogram = new Histogram({ name: "lag_seconds", help, buckets: bounds, registers });
      const byLabels = new LabelledHistograms(plain, { name: "request_seconds", help, labels: ["route", "status"] }, bounds);
      const sameByLabels = new Histogram({ name: "request_seconds", help, labelNames: ["route", "status"], buckets: bounds, registers });
      for (const kind of values) {
        counter.inc(kind);
        sameCounter.inc({ kind });
      }
      for (const duration of durations) {
        histogram.observe(duration);
        sameHistogram.observe(duration);
        byLabels.observe("/", String(duration > 1), duration);
        sameByLabels.observe({ route: "/", status: String(duration > 1) }, duration);
      }
      expect(await plain.metrics()).toBe(await library.metrics());
    }),
    { numRuns: 50 },
  );
});

test("a closed set is there before anything was counted, and a duration below 0 counts as 0", async () => {
  const registry = new Registry();
  new PlainCounter(registry, { name: "counted_total", help, label: "kind" }, ["a", "b"]).inc("b");
  new PlainHistogram([1]).registerAs(registry, "lag_seconds", help).observe(-1);
  const lines = (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines).toEqual([
    'counted_total{kind="a"} 0',
    'counted_total{kind="b"} 1',
    'lag_seconds_bucket{le="1"} 1',
    'lag_seconds_bucket{le="+Inf"} 1',
    "lag_seconds_sum 0",
    "lag_seconds_count 1",
  ]);
});

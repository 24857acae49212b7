import { bucketCount } from "./age-buckets.ts";

/** Number of changes of a status after which its calls are polled by its hazard. */
export const changesToLearn = 200;
/** Number of changes at the mean hazard that every age is assumed to have had, so that no hazard is 0 or unknown. */
const assumedChanges = 0.1;
/** Weight of a neighbouring bucket in the mean of three. */
const besideWeight = 0.1;
/** Number of changes in a bucket that outweigh the hazard of the buckets beside it. */
const certainChanges = 10;

/** Changes and time spent, by age bucket. */
type ObservedAges = { readonly changed: Float64Array; readonly exposedMs: Float64Array };

/** Smoothed hazard of a status by age bucket. */
export type Hazard = {
  /** Probability of a change within a millisecond. */
  readonly perMs: Float64Array;
  /** Mean of the source over all statuses and ages. */
  readonly meanPerMs: number;
};

/** Returns changes per millisecond of all statuses of a source together; `null` if there was none. */
export function meanHazardPerMs(histograms: readonly ObservedAges[]): number | null {
  let changes = 0;
  let exposedMs = 0;
  for (const histogram of histograms)
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      changes += histogram.changed[bucket] as number;
      exposedMs += histogram.exposedMs[bucket] as number;
    }
  return changes > 0 && exposedMs > 0 ? changes / exposedMs : null;
}

/**
 * Returns the hazard of a status: changes over exposure, smoothed over neighbouring ages. Ages with few changes follow
 * their neighbours, and a sharp peak with many changes stays sharp.
 */
export function hazardOf({ changed, exposedMs }: ObservedAges, meanPerMs: number): Hazard {
  const logs = new Float64Array(bucketCount);
  for (let bucket = 0; bucket < bucketCount; bucket++)
    logs[bucket] = Math.log(
      (meanOfThree(changed, bucket) + assumedChanges) / (meanOfThree(exposedMs, bucket) + assumedChanges / meanPerMs),
    );
  const perMs = new Float64Array(bucketCount);
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const own = logs[bucket] as number;
    const beside = ((logs[bucket - 1] ?? own) + (logs[bucket + 1] ?? own)) / 2;
    const changes = meanOfThree(changed, bucket);
    perMs[bucket] = Math.exp((changes * own + certainChanges * beside) / (changes + certainChanges));
  }
  return { perMs, meanPerMs };
}

function meanOfThree(values: Float64Array, bucket: number): number {
  const own = values[bucket] as number;
  return (1 - 2 * besideWeight) * own + besideWeight * ((values[bucket - 1] ?? own) + (values[bucket + 1] ?? own));
}

import { bucketCount, bucketEndMs, bucketOf, bucketStartsMs } from "./age-buckets.ts";
import type { Hazard } from "./hazard.ts";

/** Number of later changes after which an observation counts 1/e. */
const memoryChanges = 1500;
/** Number of changes after which the past is faded. */
const fadeEvery = 16;

const floatBytes = 4;
const storedBytes = 2 * bucketCount * floatBytes;

/** Contents of a histogram, as it is stored and shared. */
export type StoredAges = {
  /** Number of changes that were ever observed. */
  readonly changes: number;
  /** The numbers of `changed`, then those of `exposedMs`, as 32-bit floats with the lowest byte first: 768 bytes. */
  readonly ages: Uint8Array;
};

/**
 * Times that calls of one source spend in one status: changes and exposure by age, the past exponentially faded. A poll
 * observes a change late, so the change counts in parts at the ages between the two polls around it. Each part is the
 * probability that the known hazard gives it (expectation maximisation for interval-censored times, Turnbull 1976). Calls
 * that have not changed count with their exposure, so that a young histogram does not hold the quick calls alone.
 */
export class AgeHistogram {
  /** Changes by age bucket. */
  readonly changed = new Float64Array(bucketCount);
  /** Time in milliseconds that calls spent in each age bucket while they were polled. */
  readonly exposedMs = new Float64Array(bucketCount);
  #changes = 0;

  /** Number of changes that were ever observed. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether nothing was observed. */
  get isEmpty(): boolean {
    return this.#changes === 0 && this.exposedMs.every((exposedMs) => exposedMs === 0);
  }

  /** Adds the time between two polls of a call, in milliseconds of age, that both found the status. */
  recordUnchanged(fromAgeMs: number, toAgeMs: number): void {
    const last = bucketOf(toAgeMs);
    let atMs = fromAgeMs;
    for (let bucket = bucketOf(fromAgeMs); bucket < last; bucket++) {
      const endMs = bucketEndMs(bucket);
      (this.exposedMs[bucket] as number) += endMs - atMs;
      atMs = endMs;
    }
    (this.exposedMs[last] as number) += Math.max(0, toAgeMs - atMs);
  }

  /**
   * Adds a change between two polls: the last that found the status, and the first that found another. Returns the expected
   * time in milliseconds from the change to the second poll. Without a known hazard all ages between are equally likely.
   */
  recordChange(fromAgeMs: number, toAgeMs: number, hazard: Hazard | null): number {
    const first = bucketOf(fromAgeMs);
    const last = bucketOf(toAgeMs);
    let total = 0;
    for (let bucket = first; bucket <= last; bucket++) total += partOf(bucket, fromAgeMs, toAgeMs, total, hazard);
    if (total <= 0) total = Number.MIN_VALUE;
    let before = 0;
    let delayMs = 0;
    for (let bucket = first; bucket <= last; bucket++) {
      const part = partOf(bucket, fromAgeMs, toAgeMs, before, hazard);
      const share = part / total;
      before += part;
      const overlap = overlapMs(bucket, fromAgeMs, toAgeMs);
      const later = Math.max(0, 1 - before / total);
      (this.changed[bucket] as number) += share;
      (this.exposedMs[bucket] as number) += overlap * (later + share / 2);
      delayMs += share * (toAgeMs - Math.max(fromAgeMs, bucketStartsMs[bucket] as number) - overlap / 2);
    }
    this.#changes += 1;
    if (this.#changes % fadeEvery === 0) this.#fade(fadeEvery);
    return delayMs;
  }

  /** Adds what another histogram observed after all that this one holds. */
  append(later: AgeHistogram): void {
    this.#fade(later.changes);
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      (this.changed[bucket] as number) += later.changed[bucket] as number;
      (this.exposedMs[bucket] as number) += later.exposedMs[bucket] as number;
    }
    this.#changes += later.changes;
  }

  toStored(): StoredAges {
    const view = new DataView(new ArrayBuffer(storedBytes));
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      view.setFloat32(bucket * floatBytes, this.changed[bucket] as number, true);
      view.setFloat32((bucketCount + bucket) * floatBytes, this.exposedMs[bucket] as number, true);
    }
    return { changes: this.#changes, ages: new Uint8Array(view.buffer) };
  }

  /** Returns the histogram of stored contents. Contents of another shape are those of another version, and learned again. */
  static fromStored({ changes, ages }: StoredAges): AgeHistogram {
    const histogram = new AgeHistogram();
    if (ages.byteLength !== storedBytes) return histogram;
    const view = new DataView(ages.buffer, ages.byteOffset, ages.byteLength);
    const numbers = Array.from({ length: 2 * bucketCount }, (_, place) => view.getFloat32(place * floatBytes, true));
    if (!numbers.every((number) => number >= 0 && number < Infinity)) return histogram;
    histogram.#changes = changes;
    histogram.changed.set(numbers.slice(0, bucketCount));
    histogram.exposedMs.set(numbers.slice(bucketCount));
    return histogram;
  }

  #fade(changes: number): void {
    const factor = Math.exp(-changes / memoryChanges);
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      (this.changed[bucket] as number) *= factor;
      (this.exposedMs[bucket] as number) *= factor;
    }
  }
}

/** Returns the weight of a change in one bucket between two ages; `before` is the sum of the weights of the buckets before it. */
function partOf(bucket: number, fromAgeMs: number, toAgeMs: number, before: number, hazard: Hazard | null): number {
  const widthMs = overlapMs(bucket, fromAgeMs, toAgeMs);
  if (hazard === null) return widthMs;
  return (1 - before) * -Math.expm1(-widthMs * (hazard.perMs[bucket] as number));
}

function overlapMs(bucket: number, fromAgeMs: number, toAgeMs: number): number {
  return Math.max(0, Math.min(toAgeMs, bucketEndMs(bucket)) - Math.max(fromAgeMs, bucketStartsMs[bucket] as number));
}

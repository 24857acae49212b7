/** Number of buckets in an octave of age. At 28 s, where calls without an answer end, a bucket is 2.4 s wide. */
const perOctave = 8;
/** End of the first bucket. One bucket counts all younger ages, because calls are rarely polled sooner. */
const firstMs = 2000;
/** Number of buckets. The last begins at 2 h and has no end. */
export const bucketCount = 96;

/** First age of each bucket, in milliseconds. */
export const bucketStartsMs: Float64Array = Float64Array.from({ length: bucketCount }, (_, bucket) =>
  bucket === 0 ? 0 : firstMs * 2 ** ((bucket - 1) / perOctave),
);

/** Returns the bucket of an age (time in a status) in milliseconds. */
export function bucketOf(ageMs: number): number {
  if (ageMs < firstMs) return 0;
  const bucket = 1 + Math.floor(Math.log2(ageMs / firstMs) * perOctave);
  return bucket < bucketCount ? bucket : bucketCount - 1;
}

/** Returns the age at which a bucket ends; `Infinity` for the last. */
export function bucketEndMs(bucket: number): number {
  return bucketStartsMs[bucket + 1] ?? Infinity;
}

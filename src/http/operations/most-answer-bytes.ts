/** Bytes of an answer that is stored for an `Idempotency-Key`, at most. */
export const maxStoredAnswerBytes = 1024 * 1024;

/**
 * Bytes of a batch's result for a watch, besides what its request says: ids, times, the names of the keys, the sentence of `explain` and a signing
 * secret. A refusal after the validation is shorter.
 */
const resultBytes = 900;

/** Parts of a registration that its answer repeats. */
type Repeated = {
  readonly call_sid: string;
  readonly callback_url?: string | null | undefined;
  readonly events?: unknown;
  readonly metadata?: unknown;
  readonly source?: string | undefined;
};

/** Returns the bytes that the result of a valid item of a batch may have. */
export function mostResultBytes({ call_sid, callback_url, events, metadata, source }: Repeated): number {
  // The answer shows the URL as the URL standard writes it.
  const url = typeof callback_url === "string" ? (URL.parse(callback_url)?.href ?? callback_url) : null;
  return resultBytes + Buffer.byteLength(JSON.stringify([call_sid, url, events, metadata, source]));
}

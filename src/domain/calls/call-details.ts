/** A detail that a source reads from the upstream's answer. `null` if the answer lacks it or it does not fit. */
export type CallDetail = string | number | boolean | null;
export type CallDetails = Readonly<Record<string, CallDetail>>;

/** Largest size of a call's details as JSON, in bytes of UTF-8. */
export const detailsMaxBytes = 1024;

const none: CallDetails = Object.freeze({});

/** Parses details as they are stored and passed on: a JSON object; `null` if the source reads none. */
export function parseDetails(text: string | null | undefined): CallDetails {
  return text === null || text === undefined ? none : (JSON.parse(text) as CallDetails);
}

/**
 * Returns details as they are stored. A detail that would exceed the size is `null`; those before it are kept. `null` if there
 * are none.
 */
export function storedDetails(details: CallDetails): string | null {
  const entries = Object.entries(details);
  if (entries.length === 0) return null;
  let room = detailsMaxBytes - Buffer.byteLength(JSON.stringify(Object.fromEntries(entries.map(([name]) => [name, null]))));
  const kept = entries.map(([name, value]): [string, CallDetail] => {
    const bytes = Buffer.byteLength(JSON.stringify(value)) - "null".length;
    if (value === null || bytes > room) return [name, null];
    room -= bytes;
    return [name, value];
  });
  return JSON.stringify(Object.fromEntries(kept));
}

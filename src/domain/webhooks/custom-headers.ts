const maxHeaders = 20;
const maxBytes = 4096;
/** RFC 9110 §5.6.2: token. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// Values of RFC 9110 §5.5 without tabs and obs-text, because receivers differ in how they read these.
const visibleValue = /^[\x20-\x7e]*$/;
const refusedNames = new Set([
  "host",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "user-agent",
  "cookie",
]);
const refusedPrefixes = ["content-", "proxy-", "ce-", "webhook-"];

/** A fault of one header; `name` is `null` if it concerns all of them together. */
export type HeaderFault = { readonly name: string | null; readonly detail: string };

/** Returns the faults of the headers that a client adds to its webhooks; empty if there are none. */
export function findHeaderFaults(headers: Readonly<Record<string, string>>): readonly HeaderFault[] {
  const faults: HeaderFault[] = [];
  const entries = Object.entries(headers);
  if (entries.length > maxHeaders) faults.push({ name: null, detail: `must be at most ${maxHeaders} headers` });
  const bytes = entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
  if (bytes > maxBytes) faults.push({ name: null, detail: `must be at most ${maxBytes} bytes together` });
  const seen = new Set<string>();
  for (const [name, value] of entries) {
    const lower = name.toLowerCase();
    if (!token.test(name)) faults.push({ name, detail: "is not a header name" });
    else if (refusedNames.has(lower) || refusedPrefixes.some((prefix) => lower.startsWith(prefix)))
      faults.push({ name, detail: "is set by the service or the connection and cannot be given" });
    else if (seen.has(lower)) faults.push({ name, detail: "is given twice" });
    seen.add(lower);
    if (!visibleValue.test(value) || value !== value.trim())
      faults.push({ name, detail: "must be visible ASCII without control characters or spaces around it" });
  }
  return faults;
}

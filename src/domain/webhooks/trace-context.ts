// Trace Context (W3C Recommendation), section 3.2.
const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const invalidVersion = "ff";
const sampledBit = 1;

/** Returns a valid `traceparent` in the form of version 00; `null` for another text, which is ignored. */
export function parseTraceparent(header: string | null | undefined): string | null {
  const [, version, traceId, parentId, flags = "", rest] = traceparent.exec(header ?? "") ?? [];
  if (version === undefined || traceId === undefined || parentId === undefined || version === invalidVersion) return null;
  // Only later versions may have more fields.
  if (version === "00" && rest !== undefined) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null;
  const isSampled = (Number.parseInt(flags, 16) & sampledBit) === sampledBit;
  return `00-${traceId}-${parentId}-${isSampled ? "01" : "00"}`;
}

/** Returns the trace id of what `parseTraceparent` returned. */
export function traceIdOf(trace: string): string {
  return trace.split("-")[1] ?? "";
}

/** Returns the header of a span in the same trace. `spanId` is 8 bytes, not all of them 0. */
export function traceparentOf(trace: string, spanId: Uint8Array): string {
  const [, traceId, , flags] = trace.split("-");
  return `00-${traceId}-${Buffer.from(spanId).toString("hex")}-${flags}`;
}

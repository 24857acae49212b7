import { parseDetails } from "../calls/call-details.ts";
import type { CallDetail } from "../calls/call-details.ts";
import type { RingbackEvent } from "./event.ts";

/** Body formats of a webhook. `renderPayload` has one case for each. */
export const payloadFormats = ["standard", "flat", "form", "cloudevents"] as const;
export type PayloadFormat = (typeof payloadFormats)[number];

/** A JSON object as it goes over the wire: snake_case keys, times as ISO 8601 UTC with milliseconds. */
export type WireObject = Readonly<
  Record<string, string | number | boolean | null | readonly string[] | Readonly<Record<string, CallDetail>>>
>;

export type Payload = { readonly body: string; readonly headers: Readonly<Record<string, string>> };

// Control characters that JSON writes in six bytes. A reason full of them would make a body of more than 20 kB.
const costlyControls = /(?![\b\t\n\f\r])\p{Cc}/gu;

// The times that were formatted last, because the webhooks and answers of one moment hold the same ones. The number of
// places is a prime: a time and the deadline a whole number of days later have different places.
const places = 61;
const formattedAtMs = new Float64Array(places).fill(NaN);
const formatted: string[] = Array.from({ length: places }, () => "");

/** Formats a time as ISO 8601 in UTC with milliseconds; `null` stays `null`. */
export function isoTime(atMs: number): string;
export function isoTime(atMs: number | null): string | null;
export function isoTime(atMs: number | null): string | null {
  if (atMs === null) return null;
  const place = Math.abs(Math.trunc(atMs) % places);
  if (formattedAtMs[place] === atMs) return formatted[place] ?? "";
  const text = new Date(atMs).toISOString();
  formattedAtMs[place] = atMs;
  formatted[place] = text;
  return text;
}

/** Returns an event's `data` with all its keys. Operational events have other keys. */
function eventData(event: RingbackEvent): WireObject {
  if ("watchId" in event.data) {
    const { data } = event;
    return {
      watch_id: data.watchId,
      call_sid: data.callSid,
      source: data.source,
      status: spaced(data.status),
      previous_status: spaced(data.previousStatus),
      reason: spaced(data.reason),
      terminal: data.terminal,
      sequence: data.sequence,
      observed_at: isoTime(data.observedAtMs),
      observed_after: isoTime(data.observedAfterMs),
      metadata: data.metadata,
      details: parseDetails(data.details),
    };
  }
  const { data } = event;
  return {
    endpoint_id: data.endpointId,
    delivery_id: data.deliveryId,
    hook_ids: data.hookIds,
    watch_id: data.subjectWatchId,
    call_sid: data.subjectCallSid,
    placing_id: data.placingId,
    key_id: data.keyId,
    source: data.source,
    state: data.state,
    reason: data.reason,
    metadata: data.metadata,
    idempotency_key: data.idempotencyKey,
    observed_at: isoTime(data.observedAtMs),
  };
}

/** Returns the body of the `standard` format. */
export function standardPayload(event: RingbackEvent): { readonly type: string; readonly timestamp: string; readonly data: WireObject } {
  return { type: event.type, timestamp: isoTime(event.timestampMs), data: eventData(event) };
}

/** Returns the body of the `flat` format: one object without nesting, with metadata as `metadata_<key>` and details as `details_<key>`. */
export function flatPayload(event: RingbackEvent): Readonly<Record<string, string | number | boolean | null>> {
  const { metadata, details, ...data } = eventData(event);
  return {
    id: event.id,
    type: event.type,
    timestamp: isoTime(event.timestampMs),
    ...Object.fromEntries(Object.entries(data).map(([key, value]) => [key, flatValue(value)])),
    ...prefixed("metadata", metadata),
    ...prefixed("details", details),
  };
}

/** Returns the members of a nested object under keys without nesting. */
function prefixed(prefix: string, values: WireObject[string] | undefined): Readonly<Record<string, CallDetail>> {
  const entries = Object.entries((values ?? {}) as Readonly<Record<string, CallDetail>>);
  return Object.fromEntries(entries.map(([key, value]) => [`${prefix}_${key}`, value]));
}

/** Lists become text without nesting: their members, separated by commas. */
function flatValue(value: WireObject[string]): string | number | boolean | null {
  return Array.isArray(value) ? value.join(",") : (value as string | number | boolean | null);
}

/**
 * Returns body and content headers of an event in an endpoint's format. `publicUrl` is the beginning of a CloudEvents
 * source; `null` if unset.
 */
export function renderPayload(event: RingbackEvent, format: PayloadFormat, publicUrl: string | null): Payload {
  switch (format) {
    case "standard":
      return { body: JSON.stringify(standardPayload(event)), headers: { "content-type": "application/json" } };
    case "flat":
      return { body: JSON.stringify(flatPayload(event)), headers: { "content-type": "application/json" } };
    case "form": {
      const fields = Object.entries(flatPayload(event)).map(([key, value]): [string, string] => [key, value === null ? "" : String(value)]);
      return { body: new URLSearchParams(fields).toString(), headers: { "content-type": "application/x-www-form-urlencoded" } };
    }
    case "cloudevents":
      return {
        body: JSON.stringify(eventData(event)),
        headers: { "content-type": "application/json", ...cloudEventHeaders(event, publicUrl) },
      };
  }
}

/** Replaces costly control characters of an upstream's text by spaces. */
function spaced(text: string | null): string | null {
  return text === null ? null : text.replaceAll(costlyControls, " ");
}

/**
 * Returns the `ce-` headers, which hold the context in binary mode (CloudEvents 1.0, HTTP binding, §3.1). Without a public
 * URL the source is a relative reference, `/sources/<name>`. Events without a source have the source `ringback`.
 */
function cloudEventHeaders(event: RingbackEvent, publicUrl: string | null): Record<string, string> {
  const source = event.data.source ?? "ringback";
  const headers: Record<string, string> = {
    "ce-specversion": "1.0",
    "ce-id": event.id,
    "ce-type": `ai.ringback.${event.type}`,
    "ce-source": `${publicUrl?.replace(/\/+$/, "") ?? ""}/sources/${encodeURIComponent(source.toWellFormed())}`,
    "ce-time": isoTime(event.timestampMs),
  };
  const subject = "callSid" in event.data ? event.data.callSid : (event.data.subjectCallSid ?? event.data.endpointId);
  if (subject !== null) headers["ce-subject"] = subject;
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, ceHeaderValue(value)]));
}

/**
 * Percent-encodes space, `"`, `%` and everything but printable ASCII, as §3.1.3.2 of the binding requires. The `%` of an
 * encoded character is encoded too.
 */
function ceHeaderValue(value: string): string {
  return value.toWellFormed().replaceAll(/[^\u0021-\u007e]|["%]/gu, (character) => {
    const bytes = [...Buffer.from(character)];
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
  });
}

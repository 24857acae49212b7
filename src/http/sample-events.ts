import type { RingbackEvent, WatchEventType } from "../domain/event.ts";
import { watchEventTypes } from "../domain/event.ts";
import { hookWants } from "../domain/event-filter.ts";
import { eventId } from "../domain/ids.ts";

const preferred: readonly WatchEventType[] = ["call.success", "call.failure", "call.calling", "call.queued"];
const statuses: Readonly<Record<string, string>> = {
  "call.success": "success",
  "call.failure": "failure",
  "call.calling": "calling",
  "call.queued": "queued",
  "call.other": "ringing",
};

/** Made-up events with exactly the live keys, for an account that has none yet. */
export function sampleEvents(filter: readonly string[] | null, nowMs: number): readonly RingbackEvent[] {
  const types = [...preferred, ...watchEventTypes.filter((type) => !preferred.includes(type))];
  const wanted = types.filter((type) => hookWants(filter, { type, terminal: isEnding(type) }));
  return wanted.map((type, index) => sampleEvent(type, nowMs - index * 60_000));
}

function sampleEvent(type: WatchEventType, atMs: number): RingbackEvent {
  const status = statuses[type] ?? "calling";
  const watchId = "wch_01SAMPLE000000000000000000";
  const reason = type === "call.failure" ? "call queueing: max timeout limit exceeded" : "";
  return {
    id: eventId(watchId, 2, type, status, reason),
    accountId: "acc_sample",
    timestampMs: atMs,
    type,
    data: {
      watchId,
      callSid: "OUT-550e8400-e29b-41d4-a716-446655440000",
      source: "default",
      status,
      previousStatus: type.startsWith("watch.") ? status : "queued",
      reason,
      terminal: isEnding(type),
      sequence: 2,
      observedAtMs: atMs,
      observedAfterMs: atMs - 2000,
      metadata: { lead_id: "00Q5g000" },
    },
  };
}

function isEnding(type: WatchEventType): boolean {
  return type === "call.success" || type === "call.failure" || type.startsWith("watch.");
}

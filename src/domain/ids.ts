import { createHash } from "node:crypto";
import { monotonicFactory } from "ulid";
import { drawFraction } from "./secrets/random-bytes.ts";

/** Prefixes of all ids. A ULID (sortable by time) follows, or a hash for events about a watch. */
export type IdPrefix = "acc" | "key" | "src" | "wch" | "hk" | "ep" | "dlv" | "att" | "evt" | "sec" | "call";

const nextUlid = monotonicFactory(drawFraction);

/**
 * Returns a new id. Ids sort by time; those of one process also within a millisecond. An id never contains a `.`, which
 * separates the signed parts of a webhook.
 */
export function newId(prefix: IdPrefix, nowMs: number): string {
  return `${prefix}_${nextUlid(nowMs)}`;
}

/**
 * Returns the id of an event, which is also the `webhook-id`. It depends on the facts alone, so that a restored copy, or a fenced instance, creates the same id for the same transition.
 */
export function eventId(watchId: string, sequence: number, type: string, status: string | null, reason: string): string {
  const facts = JSON.stringify([watchId, sequence, type, status, reason]);
  return `evt_${createHash("sha256").update(facts).digest("base64url").slice(0, 32).replaceAll("-", "A").replaceAll("_", "B")}`;
}

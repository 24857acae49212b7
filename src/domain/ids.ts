import { createHash } from "node:crypto";
import { monotonicFactory } from "ulid";
import { drawFraction } from "./secrets/random-bytes.ts";

/** The prefixes of every id the API shows; what follows is a ULID (sortable by time) or, for events about a watch, a hash. */
export type IdPrefix = "acc" | "key" | "src" | "wch" | "hk" | "ep" | "dlv" | "att" | "evt" | "sec" | "call";

const nextUlid = monotonicFactory(drawFraction);

/** A new id, sortable by time within one process even inside one millisecond. Never holds a `.`, which separates the signed parts of a webhook. */
export function newId(prefix: IdPrefix, nowMs: number): string {
  return `${prefix}_${nextUlid(nowMs)}`;
}

/**
 * The id of an event, which is also the `webhook-id`. It depends on nothing but the facts, so that a restored copy or a
 * fenced twin that sees the same transition makes the same id.
 */
export function eventId(watchId: string, sequence: number, type: string, status: string | null, reason: string): string {
  const facts = JSON.stringify([watchId, sequence, type, status, reason]);
  return `evt_${createHash("sha256").update(facts).digest("base64url").slice(0, 32).replaceAll("-", "A").replaceAll("_", "B")}`;
}

import { sameFilter } from "../events/event-filter.ts";
import type { CallStatus } from "./call.ts";
import { replayableForMs } from "./watch.ts";
import type { Watch } from "./watch.ts";

/** How long a poll's answer counts as known: within it a new watch is told without another poll. */
const knownForMs = 60_000;

type Existing = Pick<Watch, "id" | "status" | "filter" | "metadata" | "endedAtMs">;
type WantedWatch = Pick<Watch, "filter" | "metadata">;

export type RepeatDecision =
  | { readonly kind: "new" }
  | { readonly kind: "existing"; readonly watchId: string }
  | { readonly kind: "differs"; readonly watchId: string; readonly fields: readonly ("events" | "metadata")[] };

/**
 * Whether a registration repeats one that is there: the newest watch of the same call and URL, if it is active or was
 * completed within 24 h. After any other end a repeat makes a new watch.
 */
export function decideRepeat(existing: Existing | null, wanted: WantedWatch, nowMs: number): RepeatDecision {
  if (existing === null) return { kind: "new" };
  const reusable = existing.status === "active" || (existing.status === "completed" && nowMs - (existing.endedAtMs ?? 0) < replayableForMs);
  if (!reusable) return { kind: "new" };
  const fields: ("events" | "metadata")[] = [];
  if (!sameFilter(existing.filter, wanted.filter)) fields.push("events");
  if (!sameMetadata(existing.metadata, wanted.metadata)) fields.push("metadata");
  return fields.length === 0 ? { kind: "existing", watchId: existing.id } : { kind: "differs", watchId: existing.id, fields };
}

/**
 * Whether a new watch is told the call's status in the very transaction that makes it. `polledAtMs`: the last good poll
 * by whoever polls it, which may be later than the one that was written down.
 */
export function isStatusCurrent(call: CallStatus, polledAtMs: number | null, nowMs: number): boolean {
  if (call.status === null) return false;
  // A time far ahead was written before the clock was set back, and says nothing.
  const isRecent = (atMs: number | null) => atMs !== null && Math.abs(nowMs - atMs) <= knownForMs;
  return call.terminal || isRecent(polledAtMs) || isRecent(call.lastGoodPollAtMs);
}

type WatchWish = Pick<Watch, "id" | "accountId" | "sourceName" | "callSid" | "filter" | "metadata" | "expiresAtMs"> & {
  readonly nowMs: number;
};

/** Returns a new watch. `endpoint` is `null` if it has no callback URL. */
export function newWatch(wish: WatchWish, callId: string, endpoint: { readonly id: string; readonly url: string } | null): Watch {
  const { id, accountId, sourceName, callSid, filter, metadata, expiresAtMs, nowMs } = wish;
  return {
    id,
    accountId,
    sourceName,
    callId,
    callSid,
    endpointId: endpoint?.id ?? null,
    callbackUrl: endpoint?.url ?? null,
    status: "active",
    endReason: null,
    filter,
    metadata,
    sequence: 0,
    createdAtMs: nowMs,
    expiresAtMs,
    endedAtMs: null,
  };
}

function sameMetadata(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

import { sameFilter } from "../events/event-filter.ts";
import type { CallStatus } from "./call.ts";
import { replayableForMs } from "./watch.ts";
import type { Watch } from "./watch.ts";

/** Age up to which a polled status is current, so that a new watch is notified of it without another poll. */
const currentForMs = 60_000;

type Existing = Pick<Watch, "id" | "status" | "filter" | "metadata" | "endedAtMs">;
type WantedWatch = Pick<Watch, "filter" | "metadata"> & { readonly placing?: object | null };

export type RepeatDecision =
  | { readonly kind: "new" }
  | { readonly kind: "existing"; readonly watchId: string }
  | { readonly kind: "differs"; readonly watchId: string; readonly fields: readonly ("events" | "metadata")[] };

/**
 * Decides whether a registration repeats `existing`, the newest watch of the same call and URL. A registration repeats a
 * watch that is active, or that completed within the last 24 h. After any other end it creates a new watch. A call that was
 * placed is answered with the watch that exists, because the call cannot be taken back.
 */
export function decideRepeat(existing: Existing | null, wanted: WantedWatch, nowMs: number): RepeatDecision {
  if (existing === null) return { kind: "new" };
  const reusable = existing.status === "active" || (existing.status === "completed" && nowMs - (existing.endedAtMs ?? 0) < replayableForMs);
  if (!reusable) return { kind: "new" };
  const fields: ("events" | "metadata")[] = [];
  if (!sameFilter(existing.filter, wanted.filter)) fields.push("events");
  if (!sameMetadata(existing.metadata, wanted.metadata)) fields.push("metadata");
  return fields.length === 0 || (wanted.placing ?? null) !== null
    ? { kind: "existing", watchId: existing.id }
    : { kind: "differs", watchId: existing.id, fields };
}

/**
 * Whether a new watch is notified of the call's status in the transaction that creates it. `polledAtMs` is the time of the
 * last good poll as the poller knows it (`null` if it knows none). It may be later than the stored time.
 */
export function isStatusCurrent(call: CallStatus, polledAtMs: number | null, nowMs: number): boolean {
  if (call.status === null) return false;
  // A time far in the future was stored before the clock was set back, so it is ignored.
  const isRecent = (atMs: number | null) => atMs !== null && Math.abs(nowMs - atMs) <= currentForMs;
  return call.terminal || isRecent(polledAtMs) || isRecent(call.lastGoodPollAtMs);
}

type WatchWish = Pick<Watch, "id" | "accountId" | "sourceName" | "callSid" | "filter" | "metadata" | "trace" | "expiresAtMs"> & {
  readonly nowMs: number;
};

/** Returns a new watch. `endpoint` is `null` if it has no callback URL. */
export function newWatch(wish: WatchWish, callId: string, endpoint: { readonly id: string; readonly url: string } | null): Watch {
  const { id, accountId, sourceName, callSid, filter, metadata, trace, expiresAtMs, nowMs } = wish;
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
    trace,
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

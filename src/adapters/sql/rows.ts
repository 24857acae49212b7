import { deliveryStateOf } from "./delivery-columns.ts";
import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { CallStatus } from "../../domain/calls/call.ts";
import { defaultPlacingsPerDay, defaultPlacingsPerMinute } from "../../domain/calls/placing.ts";
import type { Delivery } from "../../domain/deliveries/delivery.ts";
import type { HostStatus } from "../../domain/deliveries/delivery-decision.ts";
import type { Endpoint, EndpointHealth } from "../../domain/deliveries/endpoint.ts";
import type { RingbackEvent } from "../../domain/events/event.ts";
import { decodeId, encodeId } from "../../domain/ids.ts";
import type { IdPrefix } from "../../domain/ids.ts";
import { filterFromRow, isStillSubscribed } from "../../domain/events/event-filter.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import { keyScopes } from "../../domain/secrets/key-scopes.ts";
import type { Watch } from "../../domain/calls/watch.ts";
import type { Account, ApiKey, ApiKeyView } from "../../ports/stores/account-store.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import type { StoredSource } from "../../ports/stores/source-store.ts";

/** A row of either database. Columns have the same names and meanings in both. */
export type Row = Readonly<Record<string, unknown>>;

// Both schemas enforce the types of their columns, so these functions only assert them.
export const text = (row: Row, column: string) => row[column] as string;
export const textOrNull = (row: Row, column: string) => row[column] as string | null;
/** Reads a key as the text of its id. */
export const id = (row: Row, prefix: IdPrefix, column: string) => encodeId(prefix, row[column] as number);
export const idOrNull = (row: Row, prefix: IdPrefix, column: string) =>
  row[column] === null ? null : encodeId(prefix, row[column] as number);
/** Returns the key of an id; `null` if there is no id. */
export const keyOrNull = (idOrNone: string | null) => (idOrNone === null ? null : decodeId(idOrNone));
export const integer = (row: Row, column: string) => row[column] as number;
export const integerOrNull = (row: Row, column: string) => row[column] as number | null;
/** Reads a boolean, which SQLite stores as 0 or 1. */
export const flag = (row: Row, column: string) => row[column] === true || row[column] === 1;
// Copied, because `pg` returns views on its receive buffer.
export const blob = (row: Row, column: string) => new Uint8Array(row[column] as Uint8Array);
export const json = <T>(row: Row, column: string) => JSON.parse(text(row, column)) as T;

export function callStatusOf(row: Row): CallStatus {
  return {
    status: textOrNull(row, "status"),
    reason: text(row, "reason"),
    details: textOrNull(row, "details"),
    terminal: flag(row, "terminal"),
    observedAtMs: integerOrNull(row, "observed_at"),
    lastGoodPollAtMs: integerOrNull(row, "last_good_poll_at"),
  };
}

/** Maps a row with the columns of watches and `source_name`, `call_sid`, `callback_url`. */
export function watchOf(row: Row): Watch {
  return {
    id: id(row, "wch", "id"),
    accountId: id(row, "acc", "account_id"),
    sourceName: text(row, "source_name"),
    callId: id(row, "call", "call_id"),
    callSid: text(row, "call_sid"),
    endpointId: idOrNull(row, "ep", "endpoint_id"),
    callbackUrl: textOrNull(row, "callback_url"),
    status: text(row, "status") as Watch["status"],
    endReason: textOrNull(row, "end_reason") as Watch["endReason"],
    filter: filterOf(row),
    metadata: json(row, "metadata"),
    trace: textOrNull(row, "trace"),
    sequence: integer(row, "sequence"),
    createdAtMs: integer(row, "created_at"),
    expiresAtMs: integer(row, "expires_at"),
    endedAtMs: integerOrNull(row, "ended_at"),
  };
}

/** Needs `events` of watches or hooks. */
export function filterOf(row: Row): EventFilter {
  return filterFromRow(textOrNull(row, "events"));
}

/** Whether a pending delivery has a subscriber left. Needs the columns that `eventOf` reads, `to_watch`, and `events` of the watch. */
export function isSubscribedRow(row: Row, hookFilters: readonly EventFilter[]): boolean {
  return isStillSubscribed(eventOf(row), flag(row, "to_watch") ? filterOf(row) : null, hookFilters);
}

/** Maps a row with the columns of endpoints and `origin`. */
export function endpointOf(row: Row): Endpoint {
  return {
    id: id(row, "ep", "id"),
    accountId: id(row, "acc", "account_id"),
    url: text(row, "url"),
    origin: text(row, "origin"),
    format: text(row, "format") as Endpoint["format"],
    request: textOrNull(row, "request"),
    headerNames: json(row, "header_names"),
    signatures: json(row, "signatures"),
    late: text(row, "late") as Endpoint["late"],
    maxInFlight: integerOrNull(row, "max_in_flight"),
    maxPerSecond: integerOrNull(row, "max_per_second"),
    state: text(row, "state") as Endpoint["state"],
    reason: textOrNull(row, "reason") as Endpoint["reason"],
    sinceMs: integerOrNull(row, "since"),
    health: healthOf(row),
    createdAtMs: integer(row, "created_at"),
  };
}

function healthOf(row: Row): EndpointHealth {
  return {
    consecutiveFailures: integer(row, "consecutive_failures"),
    failingSinceMs: integerOrNull(row, "failing_since"),
    lastSuccessAtMs: integerOrNull(row, "last_success_at"),
    pausedUntilMs: integerOrNull(row, "paused_until"),
    pausedSinceMs: integerOrNull(row, "paused_since"),
    consecutivePauses: integer(row, "consecutive_pauses"),
    pauseReason: textOrNull(row, "pause_reason") as EndpointHealth["pauseReason"],
    recoveries: integer(row, "recoveries"),
    recoveredAtMs: integerOrNull(row, "recovered_at"),
    isReportedFailing: flag(row, "reported_failing"),
  };
}

/** Columns for `hostStatusOf`, from a host `h`. */
export const hostColumns = `h.paused_until as host_paused_until, h.paused_since as host_paused_since,
  h.consecutive_pauses as host_consecutive_pauses, h.rate_limited_endpoint_id as host_rate_limited_endpoint_id,
  h.rate_limited_at as host_rate_limited_at, h.other_rate_limited_at as host_other_rate_limited_at`;

export function hostStatusOf(row: Row): HostStatus {
  return {
    pausedUntilMs: integerOrNull(row, "host_paused_until"),
    pausedSinceMs: integerOrNull(row, "host_paused_since"),
    consecutivePauses: integer(row, "host_consecutive_pauses"),
    rateLimits: {
      endpointId: idOrNull(row, "ep", "host_rate_limited_endpoint_id"),
      atMs: integerOrNull(row, "host_rate_limited_at"),
      otherAtMs: integerOrNull(row, "host_other_rate_limited_at"),
    },
  };
}

/** Maps a row with the columns of events; `id` and `type` are selected as `event_id` and `event_type`. */
export function eventOf(row: Row): RingbackEvent {
  return {
    id: text(row, "event_id"),
    accountId: id(row, "acc", "account_id"),
    timestampMs: integer(row, "timestamp"),
    type: text(row, "event_type"),
    data: json(row, "data"),
  } as RingbackEvent;
}

/** Maps a row with the columns of deliveries and `event_id`, `event_type`, `call_sid`. */
export function deliveryOf(row: Row): Delivery {
  return {
    ...deliveryStateOf(row),
    accountId: id(row, "acc", "account_id"),
    eventId: text(row, "event_id"),
    eventType: text(row, "event_type"),
    watchId: idOrNull(row, "wch", "watch_id"),
    callSid: textOrNull(row, "call_sid"),
    endpointId: id(row, "ep", "endpoint_id"),
    createdAtMs: integer(row, "created_at"),
  };
}

export function sourceOf(row: Row): StoredSource {
  return {
    id: id(row, "src", "id"),
    name: text(row, "name"),
    accountId: idOrNull(row, "acc", "account_id"),
    kind: text(row, "kind"),
    baseUrl: text(row, "base_url"),
    sealedCredential: blob(row, "sealed_credential"),
    agentId: textOrNull(row, "agent_id"),
    environment: textOrNull(row, "environment"),
    definition: textOrNull(row, "definition"),
    statusMap: textOrNull(row, "status_map"),
    maxPollsPerSecond: integer(row, "max_polls_per_second"),
    revision: integer(row, "revision"),
    removedAtMs: integerOrNull(row, "removed_at"),
    createdAtMs: integer(row, "created_at"),
    updatedAtMs: integer(row, "updated_at"),
  };
}

export function accountOf(row: Row): Account {
  return {
    id: id(row, "acc", "id"),
    name: text(row, "name"),
    usesDefaultSource: flag(row, "uses_default_source"),
    sealedSigningKey: blob(row, "sealed_signing_key"),
    publicKey: text(row, "public_key"),
    placing: {
      mayPlace: flag(row, "may_place"),
      prefixes: row["place_to"] === null ? null : json(row, "place_to"),
      perMinute: integerOrNull(row, "place_per_minute") ?? defaultPlacingsPerMinute,
      perDay: integerOrNull(row, "place_per_day") ?? defaultPlacingsPerDay,
    },
    disabledAtMs: integerOrNull(row, "disabled_at"),
    disablings: integer(row, "disablings"),
    createdAtMs: integer(row, "created_at"),
  };
}

/** Maps a row of `api_keys`. No scopes means all of them. */
export function apiKeyOf(row: Row): ApiKey {
  return {
    id: id(row, "key", "id"),
    accountId: idOrNull(row, "acc", "account_id"),
    name: text(row, "name"),
    scopes: row["scopes"] === null ? keyScopes : json(row, "scopes"),
    expiresAtMs: integerOrNull(row, "expires_at"),
  };
}

export function apiKeyViewOf(row: Row): ApiKeyView {
  return {
    ...apiKeyOf(row),
    createdAtMs: integer(row, "created_at"),
    lastUsedAtMs: integerOrNull(row, "last_used_at"),
    revokedAtMs: integerOrNull(row, "revoked_at"),
  };
}

/** Reads the scope of a call: the id of the account that it belongs to, or "" if accounts share it. */
export function scopeOf(row: Row): string {
  return row["scope"] === sharedScope ? "" : id(row, "acc", "scope");
}

/** Returns the value of the column `scope`. */
export function scopeKey(scope: string): number {
  return scope === "" ? sharedScope : decodeId(scope);
}

const sharedScope = 0;

export function watchedCallOf(row: Row): WatchedCall {
  const status = callStatusOf(row);
  return {
    callId: id(row, "call", "id"),
    sourceName: text(row, "source_name"),
    callSid: text(row, "call_sid"),
    scope: scopeOf(row),
    accountId: id(row, "acc", "account_id"),
    status,
    version: integer(row, "version"),
    createdAtMs: integer(row, "created_at"),
    oldestWatchAtMs: integer(row, "oldest_watch_at"),
    youngestWatchAtMs: integer(row, "youngest_watch_at"),
    earliestDeadlineAtMs: integer(row, "earliest_deadline_at"),
    needsFirstEvent: status.status !== null && row["unnotified_from"] !== null,
    isUnfinished: row["mark"] !== null,
  };
}

/** Returns the columns of a call for `gatherWatchedCall`, with the status and version after a change. */
export function callRowOf(row: Row, status: CallStatus, version: number) {
  return {
    callId: id(row, "call", "id"),
    sourceName: text(row, "source_name"),
    callSid: text(row, "call_sid"),
    scope: scopeOf(row),
    version,
    createdAtMs: integer(row, "created_at"),
    status,
  };
}

/** Builds a watched call from a changed call and its active watches (oldest first). Returns `null` if there are no watches. */
export function gatherWatchedCall(
  call: Pick<WatchedCall, "callId" | "sourceName" | "callSid" | "scope" | "version" | "createdAtMs"> & { readonly status: CallStatus },
  watches: readonly Pick<Watch, "accountId" | "createdAtMs" | "expiresAtMs" | "sequence">[],
): WatchedCall | null {
  const [oldest] = watches;
  if (oldest === undefined) return null;
  return {
    callId: call.callId,
    sourceName: call.sourceName,
    callSid: call.callSid,
    scope: call.scope,
    accountId: oldest.accountId,
    status: call.status,
    version: call.version,
    createdAtMs: call.createdAtMs,
    oldestWatchAtMs: watches.reduce((oldest, watch) => Math.min(oldest, watch.createdAtMs), Infinity),
    youngestWatchAtMs: watches.reduce((youngest, watch) => Math.max(youngest, watch.createdAtMs), 0),
    earliestDeadlineAtMs: watches.reduce((earliest, watch) => Math.min(earliest, watch.expiresAtMs), Infinity),
    needsFirstEvent: call.status.status !== null && watches.some((watch) => watch.sequence === 0),
    isUnfinished: false,
  };
}

/** Reads the attempt that a delivery's row holds in place of a row of attempts; `null` if its attempts have rows. */
export function attemptInDelivery(row: Row): Attempt | null {
  if (row["attempt_duration_ms"] === null) return null;
  return {
    number: 1,
    startedAtMs: integer(row, "first_attempt_at"),
    durationMs: integer(row, "attempt_duration_ms"),
    statusCode: integer(row, "attempt_status_code"),
    error: null,
    responseExcerpt: text(row, "attempt_response_excerpt"),
    decision: "delivered",
  };
}

/** Reads the newest attempt of a delivery, with `last_started_at`, `last_status_code`, `last_error_code` and `last_error_detail`. */
export function lastAttemptOf(row: Row): Pick<Attempt, "statusCode" | "error" | "startedAtMs"> | null {
  const only = attemptInDelivery(row);
  if (only !== null) return { statusCode: only.statusCode, error: only.error, startedAtMs: only.startedAtMs };
  const startedAtMs = integerOrNull(row, "last_started_at");
  if (startedAtMs === null) return null;
  return {
    statusCode: integerOrNull(row, "last_status_code"),
    error: attemptErrorOf(textOrNull(row, "last_error_code"), textOrNull(row, "last_error_detail")),
    startedAtMs,
  };
}

function attemptErrorOf(code: string | null, detail: string | null): Attempt["error"] {
  return code === null ? null : { code: code as NonNullable<Attempt["error"]>["code"], detail: detail ?? "" };
}

export function attemptOf(row: Row): Attempt {
  return {
    number: integer(row, "number"),
    startedAtMs: integer(row, "started_at"),
    durationMs: integer(row, "duration_ms"),
    statusCode: integerOrNull(row, "status_code"),
    error: attemptErrorOf(textOrNull(row, "error_code"), textOrNull(row, "error_detail")),
    responseExcerpt: textOrNull(row, "response_excerpt"),
    decision: text(row, "decision") as Attempt["decision"],
  };
}

import { placingSpans } from "../../../domain/calls/placing.ts";
import type { Placing } from "../../../domain/calls/placing.ts";
import { noSubject } from "../../../domain/events/event.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import { decodeId } from "../../../domain/ids.ts";
import { sandboxSourceName } from "../../../domain/sources/sandbox.ts";
import type { CreatePlacingResult, PlacingDraft, PlacingStore } from "../../../ports/stores/placing-store.ts";
import type { SettledPlacing, WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { recordAudit } from "../audit/audit.ts";
import { listByIds } from "../reading/page.ts";
import { blob, id, idOrNull, integer, json, text, textOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { findPlacing, getPlacing, listPlacings };
export const writes = { dropPlacing, freePlacing };

const names = [
  "id",
  "account_id",
  "source_name",
  "idempotency_key",
  "call_hash",
  "state",
  "call_sid",
  "watch_id",
  "metadata",
  "created_at",
];
/** Condition on the state that no plan takes an index for, because the row is found by its key. */
const isSending = "(state || '') = 'sending'";
const columns = names.map((name) => `p.${name}`).join(", ");

function placingOf(row: Row): Placing {
  return {
    id: id(row, "plc", "id"),
    accountId: id(row, "acc", "account_id"),
    sourceName: text(row, "source_name"),
    idempotencyKey: text(row, "idempotency_key"),
    callHash: text(row, "call_hash"),
    state: text(row, "state") as Placing["state"],
    callSid: textOrNull(row, "call_sid"),
    watchId: idOrNull(row, "wch", "watch_id"),
    metadata: json(row, "metadata"),
    createdAtMs: integer(row, "created_at"),
  };
}

async function findPlacing(db: SqlQueries, query: Parameters<PlacingStore["findPlacing"]>[0]): ReturnType<PlacingStore["findPlacing"]> {
  const row = await db.get(
    `select ${columns}, w.id as kept from placings p left join watches w on w.id = p.watch_id where p.account_id = ?1 and p.key_hash = ?2`,
    decodeId(query.accountId),
    query.keyHash,
  );
  return row === undefined ? null : { placing: placingOf(row), hasWatch: row["kept"] !== null };
}

async function getPlacing(db: SqlQueries, accountId: string, placingId: string): ReturnType<PlacingStore["getPlacing"]> {
  const row = await db.get(
    `select ${columns}, p.sealed_request, p.key_hash from placings p where p.id = ?1 and p.account_id = ?2`,
    decodeId(placingId),
    decodeId(accountId),
  );
  if (row === undefined) return null;
  return {
    placing: placingOf(row),
    sealedRequest: row["sealed_request"] === null ? null : blob(row, "sealed_request"),
    keyHash: textOrNull(row, "key_hash"),
  };
}

function listPlacings(db: SqlQueries, query: Parameters<PlacingStore["listPlacings"]>[0]): ReturnType<PlacingStore["listPlacings"]> {
  const conditions = [
    ["p.account_id = ?", decodeId(query.accountId)],
    ["p.state = ?", query.state],
  ] as const;
  return listByIds(db, `select ${columns} from placings p`, "p.id", conditions, query, placingOf);
}

async function dropPlacing(tx: SqlTransaction, request: Parameters<PlacingStore["dropPlacing"]>[0]): Promise<void> {
  await tx.run(
    `delete from placings where id = ?1 and account_id = ?2 and ${isSending}`,
    decodeId(request.placingId),
    decodeId(request.accountId),
  );
}

async function freePlacing(
  tx: SqlTransaction,
  { accountId, placingId, isCheckOnly, by, nowMs }: Parameters<PlacingStore["freePlacing"]>[0],
): Promise<boolean> {
  if (isCheckOnly) return false;
  const row = await tx.get(
    "update placings set state = 'resolved', key_hash = null, sealed_request = null where id = ?1 and account_id = ?2 and state = 'unknown' returning source_name",
    decodeId(placingId),
    decodeId(accountId),
  );
  if (row === undefined) return false;
  const detail = { source: text(row, "source_name"), call_sid: null };
  const target = { kind: "placing", id: placingId } as const;
  await recordAudit(tx, by, { accountId, action: "placing.resolved", target, detail, nowMs });
  return true;
}

/**
 * Inserts an intent whose watch was checked. The caller holds the account's row, so that neither the key nor the numbers change
 * meanwhile. The newest placings are counted by their index, as many as the limit allows.
 */
export async function insertPlacing(tx: SqlTransaction, draft: PlacingDraft): Promise<CreatePlacingResult> {
  const accountKey = decodeId(draft.accountId);
  const { limits, nowMs } = draft;
  const used = await tx.get("select id from placings where account_id = ?1 and key_hash = ?2", accountKey, draft.keyHash);
  // A transaction whose answer was lost runs again, and finds its own row.
  if (used !== undefined) return { kind: id(used, "plc", "id") === draft.id ? "created" : "key_used" };
  for (const { limit, ms } of limits === null ? [] : placingSpans) {
    const oldest = await tx.get(
      `select created_at from placings where account_id = ?1 and source_name <> ?2 and created_at > ?3 order by id desc limit 1 offset ?4`,
      accountKey,
      sandboxSourceName,
      nowMs - ms,
      (limits?.[limit] ?? 1) - 1,
    );
    if (oldest !== undefined) return { kind: "limited", limit, retryAfterMs: integer(oldest, "created_at") + ms - nowMs };
  }
  await tx.run(
    `insert into placings (id, account_id, source_name, idempotency_key, key_hash, call_hash, state, metadata, sealed_request, lease_until, created_at)
     values (?1, ?2, ?3, ?4, ?5, ?6, 'sending', ?7, ?8, ?9, ?10)`,
    decodeId(draft.id),
    accountKey,
    draft.sourceName,
    draft.idempotencyKey,
    draft.keyHash,
    draft.callHash,
    JSON.stringify(draft.metadata),
    draft.sealedRequest,
    draft.leaseUntilMs,
    nowMs,
  );
  return { kind: "created" };
}

/** Makes intents `unknown`, each found by its key. An intent without a live process is never sent again. */
export async function markUnknown(
  tx: SqlTransaction,
  { placingId, leasedUntilMs, limit }: Parameters<PlacingStore["losePlacings"]>[0],
): Promise<readonly Placing[]> {
  const keys =
    placingId === null
      ? (
          await tx.all(
            "select id from placings where state = 'sending' and lease_until <= ?1 order by lease_until limit ?2",
            leasedUntilMs,
            limit,
          )
        ).map((row) => integer(row, "id"))
      : [decodeId(placingId)];
  const placings: Placing[] = [];
  // In the order of their keys, so that instances that sweep together do not wait for each other in a circle.
  for (const key of keys.toSorted((a, b) => a - b)) {
    const row = await tx.get(
      `update placings set state = 'unknown', lease_until = null where id = ?1 and ${isSending} returning ${names.join(", ")}`,
      key,
    );
    if (row !== undefined) placings.push(placingOf(row));
  }
  return placings;
}

/** Returns the event of an intent that became `unknown`. */
export function callUnknown({ id, accountId, sourceName, metadata, idempotencyKey }: Placing, nowMs: number): OperationalEventDraft {
  const data = {
    ...noSubject,
    source: sourceName,
    state: "unknown",
    reason: null,
    placingId: id,
    metadata,
    idempotencyKey,
    observedAtMs: nowMs,
  };
  return { type: "call.unknown", accountId, exceptEndpointId: null, nowMs, data };
}

/** Settles a placing whose watch the same transaction made. */
export async function settlePlacing(
  tx: SqlTransaction,
  { id, from, by, lastDigits }: SettledPlacing,
  { accountId, sourceName, callSid, nowMs }: Pick<WatchDraft, "accountId" | "sourceName" | "callSid" | "nowMs">,
  watchId: string,
): Promise<void> {
  await tx.run(
    "update placings set state = ?2, call_sid = ?3, watch_id = ?4, sealed_request = null, lease_until = null where id = ?1",
    decodeId(id),
    from === "sending" ? "placed" : "resolved",
    callSid,
    decodeId(watchId),
  );
  const facts = { source: sourceName, call_sid: callSid, watch_id: watchId };
  await recordAudit(
    tx,
    by,
    from === "sending"
      ? {
          accountId,
          action: "call.placed",
          target: { kind: "call", id: callSid },
          detail: { ...facts, placing_id: id, number_ends: lastDigits },
          nowMs,
        }
      : { accountId, action: "placing.resolved", target: { kind: "placing", id }, detail: facts, nowMs },
  );
}

/** Whether a placing can be settled from the state that a draft names. Locks its row. */
export async function canSettle(tx: SqlTransaction, { id, from }: Pick<SettledPlacing, "id" | "from">): Promise<boolean> {
  return (await tx.get(`select 1 from placings where id = ?1 and state = ?2${tx.rowLock}`, decodeId(id), from)) !== undefined;
}

/** Deletes the metadata and the stored answer of the placing whose watch is purged. Its key still counts. */
export async function purgePlacingOf(tx: SqlTransaction, watchKey: number): Promise<void> {
  const rows = await tx.all("update placings set metadata = '{}' where watch_id = ?1 returning key_hash", watchKey);
  for (const row of rows) await tx.run("delete from stored_answers where id = ?1", textOrNull(row, "key_hash"));
}

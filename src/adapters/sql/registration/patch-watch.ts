import { metadataHashes } from "../../../domain/calls/watch-metadata.ts";
import { filterToRow } from "../../../domain/events/event-filter.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { WatchView } from "../../../ports/stores/read-store.ts";
import type { RegistrationStore } from "../../../ports/stores/registration-store.ts";
import { readMarks } from "../marks/mark-rows.ts";
import { seeWatches } from "../marks/seen-rows.ts";
import type { SqlTransaction } from "../queries.ts";
import { integer } from "../rows.ts";
import { watchViewOf } from "../view-rows.ts";

type Patched = { readonly kind: "unknown" | "ended" } | { readonly kind: "patched"; readonly callKey: number; readonly view: WatchView };

/** Changes an active watch and its index of metadata. A watch that a running mark has ended counts as ended. */
export async function patchRow(
  tx: SqlTransaction,
  watchSelect: string,
  { accountId, watchId, patch }: Parameters<RegistrationStore["patchWatch"]>[0],
): Promise<Patched> {
  const [accountKey, watchKey] = [decodeId(accountId), decodeId(watchId)];
  const found = await tx.get("select call_id from watches where id = ?1 and account_id = ?2 and status <> 'purged'", watchKey, accountKey);
  if (found === undefined) return { kind: "unknown" };
  const callKey = integer(found, "call_id");
  // The call first, as transitions lock them.
  await tx.get(`select 1 from calls where id = ?1${tx.rowLock}`, callKey);
  await tx.get(`select 1 from watches where id = ?1${tx.rowLock}`, watchKey);
  const before = await readSeen(tx, watchSelect, accountKey, watchKey);
  if (before === null) return { kind: "unknown" };
  if (before.watch.status !== "active") return { kind: "ended" };
  const { filter, metadata, expiresAtMs } = { ...before.watch, ...patch };
  await tx.run(
    "update watches set events = ?1, metadata = ?2, expires_at = ?3 where id = ?4",
    filterToRow(filter),
    JSON.stringify(metadata),
    expiresAtMs,
    watchKey,
  );
  if (patch.metadata !== undefined) {
    await tx.run("delete from watch_metadata where watch_id = ?1", watchKey);
    for (const hash of metadataHashes(metadata))
      await tx.run("insert into watch_metadata (account_id, hash, watch_id) values (?1, ?2, ?3)", accountKey, hash, watchKey);
  }
  return { kind: "patched", callKey, view: { ...before, watch: { ...before.watch, filter, metadata, expiresAtMs } } };
}

/** Reads a watch as the running marks show it; `null` if it was purged. */
async function readSeen(tx: SqlTransaction, watchSelect: string, accountKey: number, watchKey: number): Promise<WatchView | null> {
  const marks = await readMarks(tx, accountKey);
  const row = await tx.get(`${watchSelect} where w.id = ?1`, watchKey);
  const [seen] = row === undefined ? [] : await seeWatches(tx, marks, [row]);
  return seen === undefined || seen["status"] === "purged" ? null : watchViewOf(seen);
}

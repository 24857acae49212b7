import type { ServersWithoutKey } from "../../../ports/stores/sealed-store.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Queries } from "../connection/queries.ts";

export const reads = { findServersWithoutKey };
export const composites = { setServerKeys };

/** Sets the key ids of this instance, in its current row and in those of later joins. */
async function setServerKeys(db: Database, keyIds: readonly string[]): Promise<void> {
  db.owner.keyIds = keyIds;
  if (db.owner.token !== null) await db.run("update instances set key_ids = $1 where token = $2", keyIds, db.owner.token);
}

/** Counts live instances without the key. An empty list means that an instance is starting and has not set its keys yet. */
async function findServersWithoutKey(db: Queries, keyId: string): Promise<ServersWithoutKey> {
  const row = await db.get(
    `select count(*) filter (where key_ids <> '{}' and $1 <> all(key_ids)) as lacking, count(*) filter (where key_ids = '{}') as starting
     from instances where lease_until > clock_timestamp()`,
    keyId,
  );
  return { lacking: integer(row ?? {}, "lacking"), starting: integer(row ?? {}, "starting") };
}

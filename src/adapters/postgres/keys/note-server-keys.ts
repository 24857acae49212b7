import type { Database } from "../connection/database.ts";

/** They go with the instance's row: with this one, and with those it joins anew by. */
export async function setServerKeys(db: Database, keyIds: readonly string[]): Promise<void> {
  db.owner.keyIds = keyIds;
  if (db.owner.token !== null) await db.run("update instances set key_ids = $1 where token = $2", keyIds, db.owner.token);
}

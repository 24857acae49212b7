import type { ServersWithoutKey } from "../../../ports/stores/sealed-store.ts";
import type { Database } from "../connection/database.ts";
import { isServerRunning } from "../connection/server-lock.ts";

export const reads = { findServersWithoutKey };
export const writes = { setServerKeys };

/** Replaces the key ids of the server. A database has at most one server. */
export function setServerKeys(db: Database, keyIds: readonly string[]): void {
  db.run("delete from server_keys");
  for (const keyId of keyIds) db.run("insert into server_keys (id) values (?) on conflict (id) do nothing", keyId);
}

/** Returns whether the running server lacks the key. A server without key ids is still starting, because opening deletes the ids of the last server. */
function findServersWithoutKey(db: Database, keyId: string): ServersWithoutKey {
  const path = db.connection.location();
  if (path === null || !isServerRunning(path)) return { lacking: 0, starting: 0 };
  const keyIds = db.all("select id from server_keys").map((row) => row["id"]);
  if (keyIds.length === 0) return { lacking: 0, starting: 1 };
  return { lacking: keyIds.includes(keyId) ? 0 : 1, starting: 0 };
}

import type { Database } from "../database.ts";
import { isServerRunning } from "../server-lock.ts";

/** There is one server at most. One that is just starting has noted no key yet and counts: nobody can say what it has. */
export function countServersWithoutKey(db: Database, keyId: string): number {
  if (db.get("select 1 from server_keys where id = ?", keyId) !== undefined) return 0;
  const path = db.connection.location();
  return path !== null && isServerRunning(path) ? 1 : 0;
}

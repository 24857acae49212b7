import type { ServersWithoutKey } from "../../../ports/stores/sealed-store.ts";
import type { Database } from "../connection/database.ts";
import { isServerRunning } from "../connection/server-lock.ts";

/** There is one server at most. What it was given it writes down at its start, and the one before it is forgotten then. */
export function findServersWithoutKey(db: Database, keyId: string): ServersWithoutKey {
  const path = db.connection.location();
  if (path === null || !isServerRunning(path)) return { lacking: 0, starting: 0 };
  const noted = db.all("select id from server_keys").map((row) => row["id"]);
  if (noted.length === 0) return { lacking: 0, starting: 1 };
  return { lacking: noted.includes(keyId) ? 0 : 1, starting: 0 };
}

import type { Database } from "../connection/database.ts";

export function setServerKeys(db: Database, keyIds: readonly string[]): void {
  db.run("delete from server_keys");
  for (const keyId of keyIds) db.run("insert into server_keys (id) values (?) on conflict (id) do nothing", keyId);
}

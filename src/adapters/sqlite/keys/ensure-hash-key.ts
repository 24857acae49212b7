import type { HashKeyName } from "../../../ports/stores/sealed-store.ts";
import type { Database } from "../connection/database.ts";
import { blob } from "../../sql/rows.ts";

export function ensureHashKey(db: Database, name: HashKeyName, sealed: Uint8Array): Uint8Array {
  db.run("insert into hash_keys (name, sealed) values (?, ?) on conflict (name) do nothing", name, sealed);
  const row = db.get("select sealed from hash_keys where name = ?", name);
  if (row === undefined) throw new Error(`no hash key ${name}`);
  return blob(row, "sealed");
}

import type { HashKeyName } from "../../../ports/stores/sealed-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { blob } from "../../sql/rows.ts";

export async function ensureHashKey(tx: Transaction, name: HashKeyName, sealed: Uint8Array): Promise<Uint8Array> {
  await tx.run("insert into hash_keys (name, sealed) values ($1, $2) on conflict (name) do nothing", name, sealed);
  const row = await tx.get("select sealed from hash_keys where name = $1", name);
  if (row === undefined) throw new Error(`no hash key ${name}`);
  return blob(row, "sealed");
}

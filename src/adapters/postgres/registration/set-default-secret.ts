import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { deleteUnusedSecrets, insertSecret } from "./secrets.ts";

/** Endpoints that were made with the default before keep it: a new one is for new endpoints. */
export async function setDefaultSecret(tx: Transaction, request: Parameters<AccountStore["setDefaultSecret"]>[0]): Promise<void> {
  const row = await tx.get("select default_secret_id from accounts where id = $1 for no key update", request.accountId);
  const before = row?.["default_secret_id"];
  await insertSecret(tx, request.accountId, request.secret, request.nowMs);
  await tx.run("update accounts set default_secret_id = $1 where id = $2", request.secret.id, request.accountId);
  if (typeof before === "string") await deleteUnusedSecrets(tx, [before]);
  tx.changed.add("accounts");
}

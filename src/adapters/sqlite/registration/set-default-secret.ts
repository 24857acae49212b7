import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { deleteUnusedSecrets, insertSecret } from "./secrets.ts";

/** Endpoints that were made with the default before keep it: a new one is for new endpoints. */
export function setDefaultSecret(db: Database, request: Parameters<AccountStore["setDefaultSecret"]>[0]): void {
  const before = db.get("select default_secret_id from accounts where id = ?", request.accountId)?.["default_secret_id"];
  insertSecret(db, request.accountId, request.secret, request.nowMs);
  db.run("update accounts set default_secret_id = ? where id = ?", request.secret.id, request.accountId);
  if (typeof before === "string") deleteUnusedSecrets(db, [before]);
}

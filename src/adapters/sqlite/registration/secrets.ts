import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import { text } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

export const writes = { rotateSecret, setDefaultSecret };

export function insertSecret(db: Database, accountId: string, secret: SecretDraft, nowMs: number): void {
  db.run(
    "insert into secrets (id, account_id, sealed, fingerprint, created_at) values (?, ?, ?, ?, ?)",
    secret.id,
    accountId,
    secret.sealed,
    secret.fingerprints[0] ?? "",
    nowMs,
  );
}

/** Deletes the given secrets unless an endpoint signs with them or an account has them as its default. */
export function deleteUnusedSecrets(db: Database, secretIds: readonly string[]): void {
  for (const secretId of secretIds)
    db.run(
      `delete from secrets where id = ?1 and not exists (select 1 from endpoint_secrets x where x.secret_id = ?1)
         and not exists (select 1 from accounts a where a.default_secret_id = ?1)`,
      secretId,
    );
}

function rotateSecret(db: Database, request: Parameters<EndpointStore["rotateSecret"]>[0]): boolean {
  const { accountId, endpointId, secret, previousValidUntilMs, nowMs } = request;
  if (db.get("select 1 from endpoints where id = ? and account_id = ?", endpointId, accountId) === undefined) return false;
  const expired = db.all("delete from endpoint_secrets where endpoint_id = ? and valid_until <= ? returning secret_id", endpointId, nowMs);
  deleteUnusedSecrets(
    db,
    expired.map((row) => text(row, "secret_id")),
  );
  db.run("update endpoint_secrets set valid_until = ? where endpoint_id = ? and valid_until is null", previousValidUntilMs, endpointId);
  insertSecret(db, accountId, secret, nowMs);
  db.run("insert into endpoint_secrets (endpoint_id, secret_id) values (?, ?)", endpointId, secret.id);
  return true;
}

/** Sets the secret of new endpoints. Endpoints created with the previous default keep it. */
function setDefaultSecret(db: Database, request: Parameters<AccountStore["setDefaultSecret"]>[0]): void {
  const previousId = db.get("select default_secret_id from accounts where id = ?", request.accountId)?.["default_secret_id"];
  insertSecret(db, request.accountId, request.secret, request.nowMs);
  db.run("update accounts set default_secret_id = ? where id = ?", request.secret.id, request.accountId);
  if (typeof previousId === "string") deleteUnusedSecrets(db, [previousId]);
}

import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import { text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import type { Queries } from "../connection/queries.ts";

export const writes = { rotateSecret, setDefaultSecret };

/** Adds a new current secret; the previous one signs until `previousValidUntilMs`. Returns false if the account has no such endpoint. */
export async function rotateSecret(tx: Transaction, request: Parameters<EndpointStore["rotateSecret"]>[0]): Promise<boolean> {
  const { accountId, endpointId, secret, previousValidUntilMs, nowMs } = request;
  const endpoint = await tx.get("select 1 from endpoints where id = $1 and account_id = $2 for no key update", endpointId, accountId);
  if (endpoint === undefined) return false;
  const expired = await tx.all(
    "delete from endpoint_secrets where endpoint_id = $1 and valid_until <= $2 returning secret_id",
    endpointId,
    nowMs,
  );
  await deleteUnusedSecrets(
    tx,
    expired.map((row) => text(row, "secret_id")),
  );
  await tx.run(
    "update endpoint_secrets set valid_until = $1 where endpoint_id = $2 and valid_until is null",
    previousValidUntilMs,
    endpointId,
  );
  await insertSecret(tx, accountId, secret, nowMs);
  await tx.run("insert into endpoint_secrets (endpoint_id, secret_id) values ($1, $2)", endpointId, secret.id);
  return true;
}

/** Sets the default secret of new endpoints. Existing endpoints keep the secret that they were created with. */
async function setDefaultSecret(tx: Transaction, request: Parameters<AccountStore["setDefaultSecret"]>[0]): Promise<void> {
  const row = await tx.get("select default_secret_id from accounts where id = $1 for no key update", request.accountId);
  const previousId = row?.["default_secret_id"];
  await insertSecret(tx, request.accountId, request.secret, request.nowMs);
  await tx.run("update accounts set default_secret_id = $1 where id = $2", request.secret.id, request.accountId);
  if (typeof previousId === "string") await deleteUnusedSecrets(tx, [previousId]);
  tx.changed.add("accounts");
}

async function insertSecret(db: Queries, accountId: string, secret: SecretDraft, nowMs: number): Promise<void> {
  await insertSecrets(db, [{ accountId, secret, nowMs }]);
}

export async function insertSecrets(
  db: Queries,
  secrets: readonly { readonly accountId: string; readonly secret: SecretDraft; readonly nowMs: number }[],
): Promise<void> {
  await db.run(
    `insert into secrets (id, account_id, sealed, fingerprint, created_at)
     select * from unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bigint[])`,
    secrets.map(({ secret }) => secret.id),
    secrets.map(({ accountId }) => accountId),
    secrets.map(({ secret }) => secret.sealed),
    secrets.map(({ secret }) => secret.fingerprints[0] ?? ""),
    secrets.map(({ nowMs }) => nowMs),
  );
}

/** Deletes those of these secrets that no endpoint signs with and that are no account's default. */
export async function deleteUnusedSecrets(db: Queries, secretIds: readonly string[]): Promise<void> {
  if (secretIds.length === 0) return;
  await db.run(
    `delete from secrets s where s.id = any($1) and (select 1 from endpoint_secrets x where x.secret_id = s.id limit 1) is null
       and (select 1 from accounts a where a.default_secret_id = s.id limit 1) is null`,
    secretIds,
  );
}

import { decodeId } from "../../../domain/ids.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import { secretWrites } from "../../sql/registration/secrets.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const writes = secretWrites<Transaction>({ insertSecret, deleteUnusedSecrets });

async function insertSecret(db: Queries, accountId: string, secret: SecretDraft, nowMs: number): Promise<void> {
  await insertSecrets(db, [{ accountId, secret, nowMs }]);
}

export async function insertSecrets(
  db: Queries,
  secrets: readonly { readonly accountId: string; readonly secret: SecretDraft; readonly nowMs: number }[],
): Promise<void> {
  await db.run(
    `insert into secrets (id, account_id, sealed, fingerprint, created_at)
     select * from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bigint[])`,
    secrets.map(({ secret }) => decodeId(secret.id)),
    secrets.map(({ accountId }) => decodeId(accountId)),
    secrets.map(({ secret }) => secret.sealed),
    secrets.map(({ secret }) => secret.fingerprints[0] ?? ""),
    secrets.map(({ nowMs }) => nowMs),
  );
}

/** Deletes the given secrets unless an endpoint signs with them or an account has them as its default. */
export async function deleteUnusedSecrets(db: Queries, secretKeys: readonly number[]): Promise<void> {
  if (secretKeys.length === 0) return;
  await db.run(
    `delete from secrets s where s.id = any($1) and (select 1 from endpoint_secrets x where x.secret_id = s.id limit 1) is null
       and (select 1 from accounts a where a.default_secret_id = s.id limit 1) is null`,
    secretKeys,
  );
}

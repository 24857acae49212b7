import { decodeId } from "../../../domain/ids.ts";
import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import type { SqlTransaction } from "../queries.ts";
import { integer } from "../rows.ts";

/** Operations on secrets that differ between the databases. Registrations and the retention use them too. */
type SecretRows<Tx> = {
  readonly insertSecret: (tx: Tx, accountId: string, secret: SecretDraft, nowMs: number) => void | Promise<void>;
  /** Deletes the given secrets unless an endpoint signs with them or an account has them as its default. */
  readonly deleteUnusedSecrets: (tx: Tx, secretKeys: readonly number[]) => void | Promise<void>;
};

export function secretWrites<Tx extends SqlTransaction>({ insertSecret, deleteUnusedSecrets }: SecretRows<Tx>) {
  return {
    /** Adds a new current secret; the previous one signs until `previousValidUntilMs`, and older ones no more. Returns false if the account has no such endpoint. */
    async rotateSecret(tx: Tx, request: Parameters<EndpointStore["rotateSecret"]>[0]): Promise<boolean> {
      const { accountId, secret, previousValidUntilMs, nowMs } = request;
      const endpointKey = decodeId(request.endpointId);
      const endpoint = await tx.get(
        `select 1 from endpoints where id = ?1 and account_id = ?2${tx.rowLock}`,
        endpointKey,
        decodeId(accountId),
      );
      if (endpoint === undefined) return false;
      const older = await tx.all(
        "delete from endpoint_secrets where endpoint_id = ?1 and valid_until is not null returning secret_id",
        endpointKey,
      );
      await deleteUnusedSecrets(
        tx,
        older.map((row) => integer(row, "secret_id")),
      );
      await tx.run(
        "update endpoint_secrets set valid_until = ?1 where endpoint_id = ?2 and valid_until is null",
        previousValidUntilMs,
        endpointKey,
      );
      await insertSecret(tx, accountId, secret, nowMs);
      await tx.run("insert into endpoint_secrets (endpoint_id, secret_id) values (?1, ?2)", endpointKey, decodeId(secret.id));
      return true;
    },
    /** Sets the default secret of new endpoints. Existing endpoints keep the secret that they were created with. */
    async setDefaultSecret(tx: Tx, request: Parameters<AccountStore["setDefaultSecret"]>[0]): Promise<void> {
      const { accountId, secret, nowMs } = request;
      const row = await tx.get(`select default_secret_id from accounts where id = ?1${tx.rowLock}`, decodeId(accountId));
      const previousKey = row?.["default_secret_id"];
      await insertSecret(tx, accountId, secret, nowMs);
      await tx.run("update accounts set default_secret_id = ?1 where id = ?2", decodeId(secret.id), decodeId(accountId));
      if (typeof previousKey === "number") await deleteUnusedSecrets(tx, [previousKey]);
      tx.changed?.add("accounts");
    },
  };
}

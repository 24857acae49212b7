import { isoTime } from "../../../domain/events/payload.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { SecretDraft } from "../../../ports/stores/registration-store.ts";
import type { SqlTransaction } from "../queries.ts";
import { recordAudit } from "../audit/audit.ts";
import { integer, text } from "../rows.ts";

/** Operations on secrets that differ between the databases. Registrations and the retention use them too. */
type SecretRows<Tx> = {
  readonly insertSecret: (tx: Tx, accountId: string, secret: SecretDraft, nowMs: number) => void | Promise<void>;
  /** Deletes the given secrets unless an endpoint signs with them or an account has them as its default. */
  readonly deleteUnusedSecrets: (tx: Tx, secretKeys: readonly number[]) => void | Promise<void>;
};

export function secretWrites<Tx extends SqlTransaction>({ insertSecret, deleteUnusedSecrets }: SecretRows<Tx>) {
  return {
    /**
     * Adds a new current secret; the previous one signs until `previousValidUntilMs`, and older ones no more. A rotation to the
     * current secret is a repeat, which must not end the previous one: it only shortens how long that one signs. Returns false
     * if the account has no such endpoint.
     */
    async rotateSecret(tx: Tx, request: Parameters<EndpointStore["rotateSecret"]>[0]): Promise<boolean> {
      const { accountId, endpointId, secret, previousValidUntilMs, by, nowMs } = request;
      const endpointKey = decodeId(request.endpointId);
      const endpoint = await tx.get(
        `select 1 from endpoints where id = ?1 and account_id = ?2${tx.rowLock}`,
        endpointKey,
        decodeId(accountId),
      );
      if (endpoint === undefined) return false;
      const current = await tx.get(
        `select s.fingerprint from endpoint_secrets x join secrets s on s.id = x.secret_id
         where x.endpoint_id = ?1 and x.valid_until is null`,
        endpointKey,
      );
      if (current !== undefined && secret.fingerprints.includes(text(current, "fingerprint"))) {
        await tx.run(
          "update endpoint_secrets set valid_until = ?1 where endpoint_id = ?2 and valid_until > ?1",
          previousValidUntilMs,
          endpointKey,
        );
        return true;
      }
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
      const detail = { previous_valid_until: isoTime(previousValidUntilMs) };
      await recordAudit(tx, by, {
        accountId,
        action: "endpoint.secret_rotated",
        target: { kind: "endpoint", id: endpointId },
        detail,
        nowMs,
      });
      return true;
    },
    /** Sets the default secret of new endpoints. Existing endpoints keep the secret that they were created with. */
    async setDefaultSecret(tx: Tx, request: Parameters<AccountStore["setDefaultSecret"]>[0]): Promise<void> {
      const { accountId, secret, by, nowMs } = request;
      const row = await tx.get(`select default_secret_id from accounts where id = ?1${tx.rowLock}`, decodeId(accountId));
      const previousKey = row?.["default_secret_id"];
      const previous =
        typeof previousKey === "number" ? await tx.get("select fingerprint from secrets where id = ?1", previousKey) : undefined;
      await insertSecret(tx, accountId, secret, nowMs);
      await tx.run("update accounts set default_secret_id = ?1 where id = ?2", decodeId(secret.id), decodeId(accountId));
      if (typeof previousKey === "number") await deleteUnusedSecrets(tx, [previousKey]);
      tx.changed?.add("accounts");
      // The same secret again changes nothing.
      if (previous !== undefined && secret.fingerprints.includes(text(previous, "fingerprint"))) return;
      const target = { kind: "account", id: accountId } as const;
      await recordAudit(tx, by, { accountId, action: "account.secret_set", target, detail: {}, nowMs });
    },
  };
}

import { decodeId, encodeId } from "../../../domain/ids.ts";
import type { SealedSecret, SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import type { Row } from "../../sql/rows.ts";
import { blob, endpointOf, eventOf, id, integer, integerOrNull, textOrNull } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const reads = { readTargets };

/** Endpoints as targets of jobs: format, headers, health, and the secrets that are valid at the time of a job. */
export class Targets {
  readonly #rows: ReadonlyMap<number, Row>;
  readonly #secrets: ReadonlyMap<number, readonly SealedSecret[]>;

  private constructor(rows: readonly Row[], secrets: readonly Row[]) {
    this.#rows = new Map(rows.map((row) => [integer(row, "id"), row]));
    this.#secrets = new Map(
      [...Map.groupBy(secrets, (row) => integer(row, "endpoint_id"))].map(([endpointKey, group]) => [
        endpointKey,
        group.map((row) => ({ id: id(row, "sec", "id"), sealed: blob(row, "sealed"), validUntilMs: integerOrNull(row, "valid_until") })),
      ]),
    );
  }

  static async read(db: Queries, endpointKeys: readonly number[]): Promise<Targets> {
    if (endpointKeys.length === 0) return new Targets([], []);
    const [rows, secrets] = await Promise.all([
      db.all(
        `select p.*, h.origin, h.paused_until as host_paused_until, h.consecutive_pauses as host_consecutive_pauses
         from endpoints p join hosts h on h.id = p.host_id where p.id = any($1)`,
        endpointKeys,
      ),
      db.all(
        `select x.endpoint_id, s.id, s.sealed, x.valid_until from endpoint_secrets x join secrets s on s.id = x.secret_id
         where x.endpoint_id = any($1) order by x.position desc`,
        endpointKeys,
      ),
    ]);
    return new Targets(rows, secrets);
  }

  /** Returns the targets of all endpoints that exist, with the secrets that are valid at `nowMs`. */
  all(nowMs: number): readonly SendTarget[] {
    return [...this.#rows.keys()].map((endpointKey) => this.at(endpointKey, nowMs));
  }

  at(endpointKey: number, nowMs: number): SendTarget {
    const row = this.#rows.get(endpointKey);
    if (row === undefined) throw new Error(`no endpoint ${encodeId("ep", endpointKey)}`);
    const secrets = this.#secrets.get(endpointKey) ?? [];
    return {
      ...endpointOf(row),
      sealedHeaders: row["sealed_headers"] === null ? null : blob(row, "sealed_headers"),
      secrets: secrets.filter(({ validUntilMs }) => validUntilMs === null || validUntilMs > nowMs),
      hostPausedUntilMs: integerOrNull(row, "host_paused_until"),
      hostConsecutivePauses: integer(row, "host_consecutive_pauses"),
    };
  }
}

async function readTargets(db: Queries, endpointIds: readonly string[]): Promise<readonly SendTarget[]> {
  const targets = await Targets.read(db, endpointIds.map(decodeId));
  // Whether a secret still signs is decided when a webhook is signed.
  return targets.all(-Infinity);
}

/**
 * Leases deliveries of locked endpoints to this process and returns their jobs in the order given. `known` holds the
 * targets if the caller has read them already.
 */
export async function leaseJobs(
  tx: Transaction,
  token: number,
  deliveries: readonly { readonly key: number; readonly mode: SendJob["mode"] }[],
  nowMs: number,
  known?: Targets,
): Promise<readonly SendJob[]> {
  if (deliveries.length === 0) return [];
  const deliveryKeys = deliveries.map(({ key }) => key);
  const [, rows] = await Promise.all([
    tx.run("update deliveries set lease_owner = $1, lease_token = nextval('lease_tokens') where id = any($2)", token, deliveryKeys),
    tx.all(
      `select d.id, d.lease_token, d.attempt_count, d.steps_spent, d.created_at, d.endpoint_id,
              e.id as event_id, e.account_id, e.timestamp, e.type as event_type, e.data,
              (select w.trace from watches w where w.id = d.watch_id) as trace
       from deliveries d join events e on e.position = d.event_position where d.id = any($1) order by array_position($1, d.id)`,
      deliveryKeys,
    ),
  ]);
  const targets = known ?? (await Targets.read(tx, [...new Set(rows.map((row) => integer(row, "endpoint_id")))]));
  const modes = new Map(deliveries.map(({ key, mode }) => [key, mode]));
  return rows.map((row) => ({
    deliveryId: id(row, "dlv", "id"),
    leaseToken: integer(row, "lease_token"),
    attemptNumber: integer(row, "attempt_count") + 1,
    stepsSpent: integer(row, "steps_spent"),
    event: eventOf(row),
    target: targets.at(integer(row, "endpoint_id"), nowMs),
    targetAsOfMs: nowMs,
    createdAtMs: integer(row, "created_at"),
    mode: modes.get(integer(row, "id")) ?? "scheduled",
    trace: textOrNull(row, "trace"),
  }));
}

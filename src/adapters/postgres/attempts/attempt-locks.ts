import { decodeId } from "../../../domain/ids.ts";
import { disablesEndpoint, isAccepted } from "../../../domain/deliveries/response-class.ts";
import { subscribesToAttempts } from "../../../domain/events/operational-events.ts";
import type { AttemptRecord } from "../../../ports/stores/delivery-store.ts";
import { id, integer } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockAccountHooks } from "./operational-events.ts";
import type { AccountHook } from "./operational-events.ts";
import { lockForRetiring } from "./retire-endpoint.ts";

/** Locked rows that failed attempts may change or notify, besides their own deliveries. */
export type Consequences = {
  /** Token to which operational events are leased. `null` if this instance was evicted; other instances then send them. */
  readonly token: number | null;
  /** Accounts whose hooks are locked, so that their attempts may cause operational events. */
  readonly accountIds: ReadonlySet<string>;
  /** All hooks of these accounts, except disabled hooks. */
  readonly accountHooks: readonly AccountHook[];
  /** Hooks among `accountHooks` that subscribe to attempts. */
  readonly hooks: readonly AccountHook[];
  /** Endpoints of those hooks, to be locked together with the endpoints of the attempts. */
  readonly endpointKeys: readonly number[];
  /** Endpoints that marks retire, if their attempts say so. */
  readonly markedKeys: ReadonlySet<number>;
};

const none: Consequences = { accountIds: new Set(), token: null, accountHooks: [], hooks: [], endpointKeys: [], markedKeys: new Set() };

/**
 * Locks the rows that failed attempts may end or notify: the instance, calls, watches and hooks, in the common lock order
 * and before any endpoint. A successful attempt needs them if its endpoint was reported as failing.
 */
export async function lockConsequences(tx: Transaction, records: readonly AttemptRecord[]): Promise<Consequences> {
  const failed = new Set(records.filter(({ outcome }) => !isAccepted(outcome)).map(({ deliveryId }) => decodeId(deliveryId)));
  const gone = records.filter(({ outcome }) => disablesEndpoint(outcome));
  const attempted = await tx.all(
    `select d.id, d.account_id, d.endpoint_id, p.reported_failing from deliveries d join endpoints p on p.id = d.endpoint_id where d.id = any($1)`,
    records.map(({ deliveryId }) => decodeId(deliveryId)),
  );
  const known = attempted.filter((row) => failed.has(integer(row, "id")) || row["reported_failing"] === true);
  if (known.length === 0) return none;
  const goneKeys = new Set(gone.map(({ deliveryId }) => decodeId(deliveryId)));
  const goneEndpointKeys = new Set(known.filter((row) => goneKeys.has(integer(row, "id"))).map((row) => integer(row, "endpoint_id")));
  const accountKeys = new Set(known.map((row) => integer(row, "account_id")));
  const [instance, markedKeys, hooks] = await Promise.all([
    tx.get("select token from instances where token = $1 for key share", tx.token),
    lockForRetiring(
      tx,
      [...goneEndpointKeys],
      records.map(({ deliveryId }) => decodeId(deliveryId)),
    ),
    lockAccountHooks(tx, [...accountKeys], { toChange: goneEndpointKeys.size > 0 }),
  ]);
  const subscribers = hooks.filter(({ filter }) => subscribesToAttempts(filter));
  return {
    token: instance === undefined ? null : integer(instance, "token"),
    accountIds: new Set(known.map((row) => id(row, "acc", "account_id"))),
    accountHooks: hooks,
    hooks: subscribers,
    endpointKeys: [...new Set(subscribers.map(({ endpointId }) => decodeId(endpointId)))],
    markedKeys,
  };
}

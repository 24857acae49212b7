import { decodeId } from "../../../domain/ids.ts";
import { disablesEndpoint, isAccepted } from "../../../domain/deliveries/response-class.ts";
import { subscribesToAttempts } from "../../../domain/events/operational-events.ts";
import type { AttemptRecord } from "../../../ports/stores/delivery-store.ts";
import { integer } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockAccountHooks } from "./operational-events.ts";
import type { AccountHook } from "./operational-events.ts";
import { lockForRetiring } from "./retire-endpoint.ts";

/** Locked rows that failed attempts may change or notify, besides their own deliveries. */
export type Consequences = {
  /** Token to which operational events are leased. `null` if this instance was evicted; other instances then send them. */
  readonly token: number | null;
  /** All hooks of the deliveries' accounts, except disabled hooks. */
  readonly accountHooks: readonly AccountHook[];
  /** Hooks among `accountHooks` that subscribe to attempts. */
  readonly hooks: readonly AccountHook[];
  /** Endpoints of those hooks, to be locked together with the endpoints of the attempts. */
  readonly endpointKeys: readonly number[];
};

const none: Consequences = { token: null, accountHooks: [], hooks: [], endpointKeys: [] };

/**
 * Locks the rows that failed attempts may end or notify: the instance, calls, watches and hooks, in the common lock order
 * and before any endpoint. Successful attempts need none of them and cost nothing here.
 */
export async function lockConsequences(tx: Transaction, records: readonly AttemptRecord[]): Promise<Consequences> {
  const failed = records.filter(({ outcome }) => !isAccepted(outcome));
  if (failed.length === 0) return none;
  const gone = failed.filter(({ outcome }) => disablesEndpoint(outcome));
  const known = await tx.all(
    "select id, account_id, endpoint_id from deliveries where id = any($1)",
    failed.map(({ deliveryId }) => decodeId(deliveryId)),
  );
  const goneKeys = new Set(gone.map(({ deliveryId }) => decodeId(deliveryId)));
  const goneEndpointKeys = new Set(known.filter((row) => goneKeys.has(integer(row, "id"))).map((row) => integer(row, "endpoint_id")));
  const accountKeys = new Set(known.map((row) => integer(row, "account_id")));
  const [instance, , hooks] = await Promise.all([
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
    accountHooks: hooks,
    hooks: subscribers,
    endpointKeys: [...new Set(subscribers.map(({ endpointId }) => decodeId(endpointId)))],
  };
}

import { isAccepted } from "../../../domain/deliveries/attempt.ts";
import { subscribesToAttempts } from "../../../domain/events/operational-events.ts";
import type { AttemptRecord } from "../../../ports/stores/delivery-store.ts";
import type { Transaction } from "../connection/database.ts";
import { lockAccountHooks } from "./operational-events.ts";
import type { AccountHook } from "./operational-events.ts";
import { lockForRetiring } from "./retire-endpoint.ts";
import { integer, text } from "../../sql/rows.ts";

/** What attempts may lead to besides what follows for their own deliveries. */
export type Consequences = {
  /** To whom operational events are leased; null: evicted, so to nobody, and the others send them. */
  readonly token: number | null;
  /** Of the accounts of the deliveries: those that may be told. */
  readonly hooks: readonly AccountHook[];
  /** Where those are told: to be locked with the endpoints of the attempts. */
  readonly endpointIds: readonly string[];
};

const none: Consequences = { token: null, hooks: [], endpointIds: [] };

/**
 * Locks what a failure may end or be told to, before any endpoint is locked and in the order of everybody: the instance,
 * calls, watches, hooks. Successes have no such consequences and cost nothing here.
 */
export async function lockConsequences(tx: Transaction, records: readonly AttemptRecord[]): Promise<Consequences> {
  const failed = records.filter(({ outcome }) => !isAccepted(outcome));
  if (failed.length === 0) return none;
  const gone = failed.filter(({ outcome }) => outcome.kind === "answered" && outcome.statusCode === 410);
  const known = await tx.all(
    "select id, account_id, endpoint_id from deliveries where id = any($1)",
    failed.map(({ deliveryId }) => deliveryId),
  );
  const goneIds = new Set(gone.map(({ deliveryId }) => deliveryId));
  const goneEndpointIds = new Set(known.filter((row) => goneIds.has(text(row, "id"))).map((row) => text(row, "endpoint_id")));
  const accountIds = new Set(known.map((row) => text(row, "account_id")));
  const [instance, , hooks] = await Promise.all([
    tx.get("select token from instances where token = $1 for key share", tx.token),
    lockForRetiring(
      tx,
      [...goneEndpointIds],
      records.map(({ deliveryId }) => deliveryId),
    ),
    lockAccountHooks(tx, [...accountIds], { toDelete: goneEndpointIds.size > 0 }),
  ]);
  const told = hooks.filter(({ events }) => subscribesToAttempts(events));
  return {
    token: instance === undefined ? null : integer(instance, "token"),
    hooks: told,
    endpointIds: [...new Set(told.map(({ endpointId }) => endpointId))],
  };
}

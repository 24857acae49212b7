import * as shared from "../../sql/deliveries/schedule.ts";
import type { Transaction } from "../connection/transaction.ts";

export const writes = { moveSchedule };

/** Moves the schedule under the locks of all endpoints and hosts, taken in the order of their ids, so that no claim deadlocks with it. */
async function moveSchedule(tx: Transaction, deltaMs: number): Promise<void> {
  await tx.run("select 1 from endpoints order by id for no key update");
  await tx.run("select 1 from hosts order by id for no key update");
  await shared.moveSchedule(tx, deltaMs);
}

import type { CallStore } from "../../../ports/stores/call-store.ts";
import type { Transaction } from "../connection/transaction.ts";

/** Those that are this instance's are free from now on, for whoever takes them first. */
export async function releaseCalls(tx: Transaction, token: number, calls: Parameters<CallStore["releaseCalls"]>[0]): Promise<void> {
  if (calls.length === 0) return;
  const callIds = calls.map(({ callId }) => callId);
  tx.changed.add("calls");
  await Promise.all([
    tx.run("select 1 from calls where id = any($1) order by id for no key update", callIds),
    tx.run(
      `update calls c set owner_token = null, touched_at = null, last_good_poll_at = coalesce(u.last_good_poll_at, c.last_good_poll_at)
       from unnest($1::text[], $2::bigint[]) as u(id, last_good_poll_at) where c.id = u.id and c.owner_token = $3`,
      callIds,
      calls.map(({ lastGoodPollAtMs }) => lastGoodPollAtMs),
      token,
    ),
  ]);
}

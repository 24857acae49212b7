import type { CounterStore } from "../../../ports/stores/service-store.ts";
import { encodeId } from "../../../domain/ids.ts";
import { integer, text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";

export const writes = { recountPortion };

/** Account that stands for all accounts together. */
const allAccounts = 0;

/**
 * Compares counters and rows in one statement, hence in one snapshot, and keeps no transaction waiting. The advisory lock
 * lets one instance correct a difference, because two would correct it twice.
 */
async function recountPortion(tx: Transaction): ReturnType<CounterStore["recountPortion"]> {
  const lock = await tx.get("select pg_try_advisory_xact_lock(hashtext('ringback recount')) as taken");
  if (lock?.["taken"] !== true) return { done: true, corrections: [] };
  const rows = await tx.all(
    `with counted as (
       select account_id, 'watches ' || status as what, count(*) as n from watches group by account_id, status
       union all select account_id, 'endpoints', count(*) from endpoints group by account_id
       union all select $1::bigint, 'deliveries ' || status, count(*) from deliveries group by status),
     stored as (
       select account_id, what, sum(n)::bigint as n
       from (select account_id, what, n from counts union all select account_id, what, n from count_changes) c group by account_id, what)
     insert into count_changes (account_id, what, n)
     select account_id, what, coalesce(c.n, 0) - coalesce(s.n, 0) from counted c full join stored s using (account_id, what)
     where coalesce(c.n, 0) <> coalesce(s.n, 0) returning account_id, what, n`,
    allAccounts,
  );
  const corrections = rows.map((row) => {
    const accountKey = integer(row, "account_id");
    return {
      counter: text(row, "what"),
      accountId: accountKey === allAccounts ? null : encodeId("acc", accountKey),
      difference: integer(row, "n"),
    };
  });
  return { done: true, corrections };
}

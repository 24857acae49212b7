import type { ActivityCount } from "../../../domain/activity.ts";
import { namesOf } from "../../sql/delivery-columns.ts";
import type { Column } from "../../sql/delivery-columns.ts";
import { arraysOf, unnestAs } from "../connection/unnest.ts";
import type { Transaction } from "../connection/transaction.ts";

export type CountedActivity = Omit<ActivityCount, "n"> & { readonly accountKey: number };

const columns: readonly Column<CountedActivity>[] = [
  { name: "account_id", type: "bigint", valueOf: ({ accountKey }) => accountKey },
  { name: "at", type: "bigint", valueOf: ({ atMs }) => atMs },
  { name: "kind", type: "integer", valueOf: ({ kind }) => kind },
];
const insertActivity = `insert into account_activity_changes (${namesOf(columns)}, n)
  select ${namesOf(columns)}, count(*) from ${unnestAs("u", columns)} group by 1, 2, 3`;

/** Inserts what happened in accounts; it is folded into their counts later. */
export async function countActivity(tx: Transaction, activity: readonly CountedActivity[]): Promise<void> {
  if (activity.length > 0) await tx.run(insertActivity, ...arraysOf(columns, activity));
}

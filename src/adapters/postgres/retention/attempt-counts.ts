import { countFolds, countSpanMs } from "../../../domain/deliveries/success-rate.ts";
import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import type { Row } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";

type Retention = Parameters<RetentionStore["deleteExpired"]>[0];

/** Number of counts that one statement folds. */
const countsAtOnce = 2000;

/** A table of counts by owner, beginning, span and further keys, and the table of what was inserted since. */
type Counts = {
  readonly table: string;
  readonly changes: string;
  readonly owner: string;
  readonly apart: readonly string[];
  readonly counts: readonly string[];
  /** Query of the owners among `taken` whose counts are added; of others they are dropped. */
  readonly owners: string;
};

const attempts: Counts = {
  table: "endpoint_attempts",
  changes: "endpoint_attempt_changes",
  owner: "endpoint_id",
  apart: [],
  counts: ["succeeded", "failed"],
  // An endpoint that is being deleted takes its counts with it, so the lock of one is not waited for.
  owners: "select id from endpoints where id = any(array(select endpoint_id from taken)) for key share skip locked",
};

const activity: Counts = {
  table: "account_activity",
  changes: "account_activity_changes",
  owner: "account_id",
  apart: ["kind"],
  counts: ["n"],
  owners: "select id from accounts where id = any(array(select account_id from taken))",
};

function addCounts({ table, owner, apart, counts, owners }: Counts, span: string): string {
  const keys = [owner, "at", ...apart];
  return `summed as (
    select ${keys.map((key) => `t.${key}`).join(", ")}, ${counts.map((name) => `sum(t.${name}) as ${name}`).join(", ")} from taken t
    where t.${owner} in (${owners})
    group by ${keys.map((key) => `t.${key}`).join(", ")}),
  added as (
    insert into ${table} (${keys.join(", ")}, span, ${counts.join(", ")})
    select ${keys.join(", ")}, ${span}, ${counts.join(", ")} from summed order by ${keys.join(", ")}
    on conflict (${[owner, "at", "span", ...apart].join(", ")}) do update
      set ${counts.map((name) => `${name} = ${table}.${name} + excluded.${name}`).join(", ")})
  select count(*)::integer as n from taken`;
}

/** Adds up what was inserted since. Concurrent calls take different rows. Returns whether there may be more. */
async function foldChanges(db: Queries, counts: Counts): Promise<boolean> {
  const { changes, owner, apart } = counts;
  return isFull(
    await db.get(
      `with taken as (
         delete from ${changes} where id in (select id from ${changes} order by id limit $1 for update skip locked)
         returning ${[owner, "at", ...apart, ...counts.counts].join(", ")}),
       ${addCounts(counts, String(countSpanMs))}`,
      countsAtOnce,
    ),
  );
}

/**
 * Sums up counts of attempts and of what happened in accounts: what was inserted by minute, and old counts in longer spans. Deletes
 * those that the retention does not keep. Returns whether there may be more.
 */
export async function foldAttempts(db: Queries, request: Retention): Promise<boolean> {
  const attemptsLeft = await foldTable(db, attempts, request);
  return (await foldTable(db, activity, request)) || attemptsLeft;
}

async function foldTable(db: Queries, counts: Counts, request: Retention): Promise<boolean> {
  const { table, owner, apart } = counts;
  let more = await foldChanges(db, counts);
  for (const { spanMs, beforeMs, intoMs } of countFolds(request)) {
    const taken = `taken as (
      delete from ${table} where ctid = any(array(
        select ctid from ${table} where (span, at) < ($1, $2) and span >= $1 order by span, at limit $3 for update skip locked))
      returning ${[owner, intoMs === null ? "at" : "at - at % $4 as at", ...apart, ...counts.counts].join(", ")})`;
    const folded = await (intoMs === null
      ? db.get(`with ${taken} select count(*)::integer as n from taken`, spanMs, beforeMs, countsAtOnce)
      : db.get(`with ${taken}, ${addCounts(counts, "$4")}`, spanMs, beforeMs, countsAtOnce, intoMs));
    more ||= isFull(folded);
  }
  return more;
}

/** Condition that `foldAttempts` has something to do, with the values of `foldBounds` from `$first` on. */
export function isFoldDue(first: number): string {
  const due = [attempts, activity].flatMap(({ table, changes }) => [
    `exists (select 1 from ${changes})`,
    ...[0, 1, 2].map((index) => {
      const [span, before] = [`$${first + index * 2}::integer`, `$${first + index * 2 + 1}::bigint`];
      return `exists (select 1 from ${table} where (span, at) < (${span}, ${before}) and span >= ${span})`;
    }),
  ]);
  return `(${due.join(" or ")})`;
}

/** Values of `isFoldDue`. */
export function foldBounds(request: Retention): readonly number[] {
  return countFolds(request).flatMap(({ spanMs, beforeMs }) => [spanMs, beforeMs]);
}

function isFull(folded: Row | undefined): boolean {
  return folded?.["n"] === countsAtOnce;
}

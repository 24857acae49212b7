import { countFolds } from "../../../domain/deliveries/success-rate.ts";
import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import type { Database } from "../connection/database.ts";

/** Number of counts that one batch folds. */
const countsAtOnce = 500;

type Statements = { readonly oldest: string; readonly sumUp: string; readonly remove: string };

/** Returns the statements that fold a table of counts by owner, beginning, span and further keys. */
function foldOf(table: string, owner: string, apart: readonly string[], counts: readonly string[]): Statements {
  const keys = [owner, "at", "span", ...apart];
  const oldest = `select ${keys.join(", ")} from ${table} where span = ?1 and at < ?2 order by span, at, ${[owner, ...apart].join(", ")} limit ?3`;
  const groups = [owner, "start", ...apart];
  return {
    oldest,
    sumUp: `insert into ${table} (${keys.join(", ")}, ${counts.join(", ")})
      select ${[`c.${owner}`, "c.at - c.at % ?4 as start", "?4", ...apart.map((key) => `c.${key}`)].join(", ")}, ${counts.map((name) => `sum(c.${name})`).join(", ")}
      from (${oldest}) o join ${table} c on ${keys.map((key) => `c.${key} = o.${key}`).join(" and ")}
      group by ${groups.map((key) => (key === "start" ? key : `c.${key}`)).join(", ")}
      on conflict (${keys.join(", ")}) do update set ${counts.map((name) => `${name} = ${name} + excluded.${name}`).join(", ")}`,
    remove: `delete from ${table} where (${keys.join(", ")}) in (${oldest})`,
  };
}

const folds = [
  foldOf("endpoint_attempts", "endpoint_id", [], ["succeeded", "failed"]),
  foldOf("account_activity", "account_id", ["kind"], ["n"]),
];

/**
 * Sums up old counts of attempts and of what happened in accounts in longer spans, and deletes those that the retention does not
 * keep. Returns whether more may be old enough.
 */
export function foldCounts(db: Database, request: Parameters<RetentionStore["deleteExpired"]>[0]): boolean {
  let more = false;
  for (const { oldest, sumUp, remove } of folds)
    for (const { spanMs, beforeMs, intoMs } of countFolds(request)) {
      if (db.get(oldest, spanMs, beforeMs, 1) === undefined) continue;
      if (intoMs !== null) db.run(sumUp, spanMs, beforeMs, countsAtOnce, intoMs);
      const folded = db.run(remove, spanMs, beforeMs, countsAtOnce);
      more ||= folded === countsAtOnce;
    }
  return more;
}

import type { GateState, SharedSourceStore, SharedSuspension } from "../../../ports/stores/shared-source-store.ts";
import type { Row } from "../../sql/rows.ts";
import { integer, integerOrNull, text, textOrNull } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** SQL expression: gates with a part newer than `version`, as JSON; null if there are none. */
export const gatesAfter = (version: string) =>
  `(select json_agg(g) from source_gates g where greatest(g.suspension_version, g.throttle_version) > ${version})`;

/** Creates the store of source gates. Calls `onChanged` after each write that concerns other instances. */
export function createSharedSourceStore(db: Database, onChanged: () => void): SharedSourceStore {
  return {
    async changeSuspension({ sourceName, suspension, expectedVersion }) {
      const changed = await db.get(
        `insert into source_gates as g (source_name, reason, since, suspension_version) values ($1, $2, $3, nextval('gate_versions'))
         on conflict (source_name) do update set reason = excluded.reason, since = excluded.since, suspension_version = excluded.suspension_version
         where g.suspension_version = $4 returning *`,
        sourceName,
        suspension?.reason ?? null,
        suspension?.sinceMs ?? null,
        expectedVersion,
      );
      if (changed !== undefined) {
        onChanged();
        return { kind: "changed", gate: gateOf(changed) };
      }
      const current = await db.get("select * from source_gates where source_name = $1", sourceName);
      if (current === undefined) throw new Error(`the gate of ${sourceName} was deleted meanwhile`);
      return { kind: "superseded", gate: gateOf(current) };
    },
    async throttle({ sourceName, throttledUntilMs, rateFactor }) {
      const row = await db.get(
        `insert into source_gates as g (source_name, throttled_until, rate_factor, throttle_version) values ($1, $2, $3, nextval('gate_versions'))
         on conflict (source_name) do update set throttled_until = greatest(g.throttled_until, excluded.throttled_until),
           rate_factor = excluded.rate_factor, throttle_version = excluded.throttle_version
         returning *`,
        sourceName,
        throttledUntilMs,
        rateFactor,
      );
      if (row === undefined) throw new Error("an upsert returned no row");
      onChanged();
      return gateOf(row);
    },
  };
}

export function gateOf(row: Row): GateState {
  const reason = textOrNull(row, "reason");
  return {
    sourceName: text(row, "source_name"),
    suspension: reason === null ? null : { reason: reason as SharedSuspension["reason"], sinceMs: integer(row, "since") },
    suspensionVersion: integer(row, "suspension_version"),
    throttledUntilMs: integerOrNull(row, "throttled_until"),
    rateFactor: row["rate_factor"] as number,
    throttleVersion: integer(row, "throttle_version"),
  };
}

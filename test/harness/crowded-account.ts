import type { auditActions } from "../../src/domain/audit.ts";
import { activityKinds } from "../../src/domain/activity.ts";
import { newestKept } from "../../src/domain/deliveries/attempt.ts";
import { decodeId, encodeId, leastKeyAt } from "../../src/domain/ids.ts";
import { seriesOf } from "./crowded-lists.ts";
import type { CrowdedDatabase } from "./crowded-lists.ts";
import { day, hour, minute, second, startMs } from "./store-drafts.ts";

/** Ids of what the pages of the account show. */
export type CrowdedRows = {
  readonly accountId: string;
  /** A watch with as many events as one can have, each sent to every hook. */
  readonly watchId: string;
  /** A delivery with as many attempts as are kept. */
  readonly deliveryId: string;
  readonly eventId: string;
  readonly callSid: string;
  readonly endpointIds: readonly string[];
  readonly hookId: string;
  readonly placingId: string;
};

/** As many as an account has, or keeps, by default or at most. */
const hooks = 100;
const keys = 1000;
const portalLinks = 1000;
const eventsOfWatch = 50;
/** The newest instant of the rows. */
export const crowdedUntilMs = startMs + 30 * minute;
/** Keys of endpoints, hosts, hooks and accounts that `CrowdedLists` has not used. */
const firstKey = 1000;

/** A common action of the audit, a rare one and one that was never taken. */
export const askedActions = [
  "endpoint.changed",
  "source.removed",
  "call.placed",
] as const satisfies readonly (typeof auditActions)[number][];
const actionOfN = "case when n % 1000 = 7 then 'source.removed' when n % 3 = 0 then 'endpoint.changed' else 'delivery.retried' end";
const auditColumns = "id, account_id, at, action, target_kind, target_id, actor_kind, actor_id, actor_name, address, detail";
const auditValuesAt = (at: string) =>
  `${at}, ${actionOfN}, 'endpoint', 'ep_1', 'key', 'key_1', 'crm', '203.0.113.7', '{"changed":["state"],"state":"paused"}'`;

/**
 * Fills an account that has the rows of `CrowdedLists` with everything else that a page can show: endpoints of which many are in
 * trouble, hooks, placings of today, audit, keys, portal links, attempts, and what happened in the last days. The operator has one more account
 * for each thousand deliveries, with an audit of its own.
 */
export async function fillAccount(database: CrowdedDatabase, crowdedId: string, deliveries: number): Promise<CrowdedRows> {
  const isPostgres = database.kind === "postgres";
  const account = decodeId(crowdedId);
  const series = (name: string, count: number) => seriesOf(database, name, count);
  const bool = (isTrue: boolean) => (isPostgres ? String(isTrue) : isTrue ? "1" : "0");
  const ownKeys = isPostgres ? "overriding system value" : "";
  const blob = isPostgres ? "'\\x01'::bytea" : "x'01'";
  const accounts = deliveries / 1000;
  const endpoints = Math.max(hooks * 2, deliveries / 20);
  const placings = deliveries / 10;
  const audit = Math.min(100_000, deliveries / 10);
  const watch = 22;
  const today = leastKeyAt(startMs);
  const beforehand = leastKeyAt(startMs - 20 * day);
  const keysPerSecond = leastKeyAt(startMs + second) - leastKeyAt(startMs);
  const kinds = [
    activityKinds.failed,
    activityKinds.transition,
    ...Array.from({ length: 22 }, (_, bucket) => [activityKinds.delivered + bucket, activityKinds.delayed + bucket]).flat(),
  ];
  const kindRows = `(${kinds.map((kind) => `select ${kind} as kind`).join(" union all ")}) k`;
  await database.execute(`
    insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at)
      select ${firstKey} + n, 'tenant-' || n, ${bool(true)}, ${blob}, 'whpk_', 1 from ${series("n", accounts)};
    insert into hosts (id, account_id, origin) ${ownKeys}
      select ${firstKey} + n, ${account}, 'https://h' || n || '.example:443' from ${series("n", endpoints / 10)};
    insert into endpoints (id, account_id, url, host_id, format, header_names, signatures, late, state, reason, since, consecutive_failures, failing_since, created_at)
      select ${firstKey} + n, ${account}, 'https://h' || ((n - 1) / 10 + 1) || '.example/calls/' || n, ${firstKey} + (n - 1) / 10 + 1, 'flat', '[]', '[]', 'send',
        case n % 10 when 0 then 'paused' when 1 then 'disabled' else 'enabled' end, case n % 10 when 0 then 'client' when 1 then 'gone' end, ${startMs}, n % 3, ${startMs}, 1
      from ${series("n", endpoints)};
    insert into hooks (id, account_id, endpoint_id, created_at) select ${firstKey} + n, ${account}, ${firstKey} + n, 1 from ${series("n", hooks - 2)};
    insert into events (position, id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at ${isPostgres ? ", feed_order" : ""}) ${ownKeys}
      select ${deliveries} + n, 'evt_more' || n, account_id, watch_id, call_sid, type, ${bool(false)}, 5 + n, timestamp + n, data, created_at ${isPostgres ? `, ${deliveries} + n` : ""}
      from events e, ${series("n", eventsOfWatch - 5)} where e.watch_id = ${watch} and e.sequence = 1;
    insert into deliveries (id, account_id, event_position, endpoint_id, watch_id, sequence, terminal, status, attempt_count, settled_at, created_at)
      select ${deliveries} + e.position * ${hooks} + n, e.account_id, e.position, ${firstKey} + n, e.watch_id, e.sequence, ${bool(false)}, 'delivered', 3, e.timestamp, e.timestamp
      from events e, ${series("n", hooks - 2)} where e.watch_id = ${watch};
    insert into attempts (delivery_id, number, started_at, duration_ms, status_code, error_code, error_detail, response_excerpt, decision)
      select d.id, n, d.created_at + n * 1000, 12, case n when 3 then 204 else 503 end, case n when 3 then null else 'status' end, case n when 3 then null else 'answered 503' end, 'busy', case n when 3 then 'delivered' else 'retry' end
      from deliveries d, ${series("n", 3)} where d.watch_id = ${watch} and d.endpoint_id > ${firstKey};
    insert into attempts (delivery_id, number, started_at, duration_ms, status_code, error_code, error_detail, response_excerpt, decision)
      select ${deliveries}, n, ${startMs} + n * 1000, 12, 503, 'status', 'answered 503', 'busy', 'retry' from ${series("n", newestKept)};
    update deliveries set attempt_count = ${newestKept} where id = ${deliveries};
    insert into account_activity (account_id, at, span, kind, n)
      select ${account}, ${crowdedUntilMs} - t * ${minute}, ${minute}, k.kind, 10 from ${series("t", 120)}, ${kindRows}
      union all select ${account}, ${startMs} - t * ${hour}, ${hour}, k.kind, 10 from ${series("t", 192)}, ${kindRows};
    ${isPostgres ? `insert into account_activity_changes (account_id, at, kind, n) select ${account}, ${crowdedUntilMs}, ${activityKinds.delivered}, 1 from ${series("n", 10_000)};` : ""}
    insert into placings (id, account_id, source_name, idempotency_key, key_hash, call_hash, state, call_sid, watch_id, metadata, created_at)
      select ${today} + n, ${account}, 'default', 'key-' || n, 'hash-' || n, 'call', case when n % 100 = 0 then 'unknown' else 'placed' end, 'OUT-many-' || n, case when n % 100 = 0 then null else ${watch} + n % 1000 end, '{"lead_id":"00Q5g000"}', ${startMs}
      from ${series("n", placings)};
    insert into audit (${auditColumns}) select ${beforehand} + cast(n as bigint) * ${keysPerSecond}, ${account}, ${auditValuesAt(`${startMs - 20 * day} + n * 1000`)} from ${series("n", audit)};
    insert into audit (${auditColumns})
      select ${beforehand} + cast(n as bigint) * ${keysPerSecond} + a, ${firstKey} + a, ${auditValuesAt(`${startMs - 20 * day} + n * 1000`)} from ${series("a", accounts)}, ${series("n", 900)};
    insert into api_keys (id, account_id, name, fingerprint, created_at) select ${firstKey} + n, ${account}, 'key ' || n, 'fingerprint ' || n, 1 from ${series("n", keys)};
    insert into portal_links (id, account_id, key_id, can, token_hash, created_at, expires_at)
      select ${firstKey} + n, ${account}, ${firstKey} + 1, 'look', 'token ' || n, ${startMs}, ${startMs + day} from ${series("n", portalLinks)}`);
  return {
    accountId: crowdedId,
    watchId: encodeId("wch", watch),
    deliveryId: encodeId("dlv", deliveries),
    eventId: "evt_more1",
    callSid: `OUT-many-${watch}`,
    endpointIds: [1, firstKey + 1].map((key) => encodeId("ep", key)),
    hookId: encodeId("hk", firstKey + 1),
    placingId: encodeId("plc", today + 1),
  };
}

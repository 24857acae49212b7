import { DatabaseSync } from "node:sqlite";
import { Outbound } from "../outbound.ts";

/** Endpoints of the calls, on as many hosts as the sink listens on. */
const endpoints = 100;
const hosts = 20;
const eventsPerWatch = 5;
const dayMs = 86_400_000;

/** What a database holds before the service starts on it. */
export type Fill = { readonly activeCalls: number; readonly endedDeliveries: number };

/**
 * Fills a new database file by SQL, because a million registrations take a minute. The store itself makes the account and one watch for
 * each endpoint; the other watches are copies of them. Calls have the status that the upstream begins with, and their watches
 * were notified of it, so that a first poll is no more of a transition than any other.
 */
export async function fillDatabase(path: string, sinkPort: number, { activeCalls, endedDeliveries }: Fill): Promise<void> {
  await using outbound = await Outbound.open(path, { sends: false });
  await outbound.watch(endpoints, "first", (index) => `http://127.0.0.${1 + (index % hosts)}:${sinkPort}/hooks/${index}`);
  await outbound[Symbol.asyncDispose]();
  const db = new DatabaseSync(path);
  try {
    // The file is thrown away if the machine fails.
    db.exec(
      "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1000000; pragma foreign_keys = off; pragma temp_store = memory",
    );
    const first =
      Number(
        db.prepare("select max(max(id), (select max(id) from watches), (select max(id) from endpoints)) as id from calls").get()?.["id"],
      ) + 1;
    insertCalls(db, first, activeCalls - endpoints);
    if (endedDeliveries > 0) insertEnded(db, first + activeCalls, endedDeliveries);
    db.exec("pragma journal_mode = wal");
  } finally {
    db.close();
  }
}

function insertCalls(db: DatabaseSync, first: number, count: number): void {
  db.exec(`
    update calls set status = 'queued', observed_at = created_at, last_good_poll_at = created_at;
    update watches set sequence = 1;
    create temp table models as select row_number() over (order by id) - 1 as n, * from watches;
    insert into calls (id, source_name, scope, call_sid, status, observed_at, last_good_poll_at, created_at)
      ${numbers(count)} select ${first} + n, c.source_name, c.scope, 'OUT-bench-' || n, 'queued', c.created_at, c.created_at, c.created_at
        from numbers, (select * from calls limit 1) c;
    insert into watches (id, account_id, call_id, endpoint_id, metadata, status, sequence, created_at, expires_at)
      ${numbers(count)} select ${first} + i.n, w.account_id, ${first} + i.n, w.endpoint_id, w.metadata, 'active', 1, w.created_at, w.expires_at
        from numbers i join models w on w.n = i.n % ${endpoints};
    update account_usage set active = active + ${count}`);
}

/** Watches whose five events were delivered within the last days. Indexes are made last, which is many times faster. */
function insertEnded(db: DatabaseSync, first: number, deliveries: number): void {
  const watches = deliveries / eventsPerWatch;
  const indexes = db
    .prepare("select name, sql from sqlite_master where type = 'index' and tbl_name in ('events', 'deliveries') and sql is not null")
    .all();
  for (const { name } of indexes) db.exec(`drop index ${String(name)}`);
  const at = `${Date.now() - dayMs} + i.n / 1000`;
  db.exec(`
    insert into calls (id, source_name, scope, call_sid, status, terminal, observed_at, created_at)
      ${numbers(watches)} select ${first} + n, 'default', 0, 'OUT-ended-' || n, 'success', 1, 1, 1 from numbers;
    insert into watches (id, account_id, call_id, endpoint_id, metadata, status, sequence, created_at, expires_at, ended_at)
      ${numbers(watches)} select ${first} + i.n, w.account_id, ${first} + i.n, w.endpoint_id, w.metadata, 'completed', ${eventsPerWatch}, w.created_at, w.expires_at, w.created_at
        from numbers i join models w on w.n = i.n % ${endpoints};
    insert into events (position, id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at)
      ${numbers(deliveries)} select i.n + 1, 'evt_' || lower(hex(randomblob(16))), w.account_id, ${first} + i.n / ${eventsPerWatch}, 'OUT-ended-' || (i.n / ${eventsPerWatch}),
        'call.calling', i.n % ${eventsPerWatch} = ${eventsPerWatch - 1}, 1 + i.n % ${eventsPerWatch}, ${at}, '{"status":"calling","previous_status":"queued","reason":""}', ${at}
        from numbers i join models w on w.n = i.n / ${eventsPerWatch} % ${endpoints};
    insert into deliveries (id, account_id, event_position, endpoint_id, watch_id, sequence, terminal, status, attempt_count, first_attempt_at, settled_at,
        attempt_duration_ms, attempt_status_code, created_at)
      ${numbers(deliveries)} select ${first} + i.n, w.account_id, i.n + 1, w.endpoint_id, ${first} + i.n / ${eventsPerWatch}, 1 + i.n % ${eventsPerWatch}, 0, 'delivered', 1, ${at}, ${at}, 1, 200, ${at}
        from numbers i join models w on w.n = i.n / ${eventsPerWatch} % ${endpoints};
    update account_usage set completed = completed + ${watches};
    update delivery_counts set n = n + ${deliveries} where status = 'delivered'`);
  for (const { sql } of indexes) db.exec(String(sql));
}

function numbers(count: number): string {
  return `with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < ${count - 1})`;
}

import type { RetentionStore } from "../../../ports/service-store.ts";
import type { Database } from "../database.ts";
import { text } from "../tables/rows.ts";

/** One small batch of what retention is over for, in an order that leaves nothing pointing at what is gone. */
export function deleteExpired(
  db: Database,
  request: Parameters<RetentionStore["deleteExpired"]>[0],
): { readonly deleted: number; readonly more: boolean } {
  const { beforeMs, nowMs, limit } = request;
  // What a disabled endpoint was owed for the whole time is given up, so that its watches can go.
  const expired = db.run(
    `update deliveries set status = 'expired', settled_at = ?1, next_attempt_at = null, due_at = null where id in (
       select d.id from deliveries d join endpoints p on p.id = d.endpoint_id
       where p.state = 'disabled' and d.status = 'pending' and d.lease_token is null and d.created_at < ?2 limit ?3)`,
    nowMs,
    beforeMs,
    limit,
  );
  const watches = db.all(
    `select w.id from watches w where w.ended_at < ?1
       and not exists (select 1 from deliveries d where d.watch_id = w.id and (d.status = 'pending' or d.lease_token is not null))
     order by w.ended_at limit ?2`,
    beforeMs,
    limit,
  );
  for (const row of watches) db.run("delete from watches where id = ?", text(row, "id"));
  const events = db.run(
    `delete from events where position in (
       select e.position from events e where e.watch_id is null and e.created_at < ?1
         and not exists (select 1 from deliveries d where d.event_position = e.position and (d.lease_token is not null or (d.status = 'pending' and d.due_at is not null)))
       limit ?2)`,
    beforeMs,
    limit,
  );
  const calls = db.run(
    `delete from calls where id in (
       select c.id from calls c where max(c.created_at, coalesce(c.observed_at, 0), coalesce(c.last_good_poll_at, 0)) < ?1
         and not exists (select 1 from watches w where w.call_id = c.id) limit ?2)`,
    beforeMs,
    limit,
  );
  const endpoints = db.run(
    `delete from endpoints where id in (
       select p.id from endpoints p where p.created_at < ?1 and coalesce(p.last_success_at, 0) < ?1
         and not exists (select 1 from watches w where w.endpoint_id = p.id)
         and not exists (select 1 from hooks k where k.endpoint_id = p.id)
         and not exists (select 1 from deliveries d where d.endpoint_id = p.id) limit ?2)`,
    beforeMs,
    limit,
  );
  if (endpoints > 0) deleteOrphans(db);
  const deleted = expired + watches.length + events + calls + endpoints;
  return { deleted, more: [expired, watches.length, events, calls, endpoints].includes(limit) };
}

/** Secrets and hosts that only deleted endpoints used. */
function deleteOrphans(db: Database): void {
  db.run(
    `delete from secrets where not exists (select 1 from endpoint_secrets x where x.secret_id = secrets.id)
       and not exists (select 1 from accounts a where a.default_secret_id = secrets.id)`,
  );
  db.run("delete from hosts where not exists (select 1 from endpoints p where p.host_id = hosts.id)");
}

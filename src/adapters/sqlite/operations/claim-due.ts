import type { ClaimRequest, ClaimResult } from "../../../ports/delivery-store.ts";
import type { SendJob } from "../../../ports/send-job.ts";
import type { Database, Row } from "../database.ts";
import { raiseEndpointDue, raiseHostDue } from "../tables/due.ts";
import { leaseJob } from "../tables/jobs.ts";
import { integer, integerOrNull, text } from "../tables/rows.ts";

type Budget = { left: number; failingLeft: number; readonly nowMs: number };

/**
 * Leases what is due, the hosts waiting longest first, each within its room. While an endpoint or host has a pause
 * behind it (consecutive_pauses > 0) one delivery of it is out at a time, until a 2xx.
 */
export function claimDue(db: Database, request: ClaimRequest): ClaimResult {
  const { nowMs } = request;
  const endpointRoom = new Map(request.roomByEndpoint);
  const hostRoom = new Map(request.roomByHost);
  const budget: Budget = { left: request.limit, failingLeft: request.failingLimit, nowMs };
  const jobs: SendJob[] = [];
  const hosts = db.all(
    `select id, account_id, origin, consecutive_pauses from hosts
     where next_due_at <= ?1 and (paused_until is null or paused_until <= ?1) order by next_due_at limit ?2`,
    nowMs,
    request.limit + hostRoom.size + endpointRoom.size,
  );
  for (const host of hosts) {
    if (budget.left <= 0) break;
    const hostId = integer(host, "id");
    let room = Math.min(hostRoom.get(`${text(host, "account_id")} ${text(host, "origin")}`) ?? request.defaultRoom, budget.left);
    if (integer(host, "consecutive_pauses") > 0) room = Math.min(room, 1 - leasedOfHost(db, hostId));
    if (room <= 0) continue;
    for (const endpoint of dueEndpoints(db, hostId, nowMs, room + endpointRoom.size)) {
      if (room <= 0) break;
      const claimed = claimEndpoint(db, endpoint, Math.min(room, endpointRoom.get(text(endpoint, "id")) ?? request.defaultRoom), budget);
      room -= claimed.length;
      jobs.push(...claimed);
    }
    raiseHostDue(db, hostId);
  }
  return { jobs, nextDueAtMs: nextDueAt(db, nowMs) };
}

function dueEndpoints(db: Database, hostId: number, nowMs: number, limit: number): readonly Row[] {
  return db.all(
    `select id, consecutive_failures, consecutive_pauses from endpoints
     where host_id = ?1 and state = 'enabled' and next_due_at <= ?2 and (paused_until is null or paused_until <= ?2) order by next_due_at limit ?3`,
    hostId,
    nowMs,
    limit,
  );
}

function claimEndpoint(db: Database, endpoint: Row, roomLeft: number, budget: Budget): readonly SendJob[] {
  const endpointId = text(endpoint, "id");
  const failing = integer(endpoint, "consecutive_failures") > 0;
  let room = Math.min(roomLeft, budget.left, failing ? budget.failingLeft : budget.left);
  if (integer(endpoint, "consecutive_pauses") > 0) room = Math.min(room, 1 - leasedOfEndpoint(db, endpointId));
  if (room <= 0) return [];
  const due = db.all(
    `select id from deliveries where endpoint_id = ? and status = 'pending' and lease_token is null and due_at <= ? order by due_at limit ?`,
    endpointId,
    budget.nowMs,
    room,
  );
  const jobs = due.map((row) => leaseJob(db, text(row, "id"), "scheduled", budget.nowMs));
  budget.left -= jobs.length;
  if (failing) budget.failingLeft -= jobs.length;
  raiseEndpointDue(db, endpointId);
  return jobs;
}

function leasedOfEndpoint(db: Database, endpointId: string): number {
  return db.get("select count(*) as n from deliveries where endpoint_id = ? and lease_token is not null", endpointId)?.["n"] as number;
}

function leasedOfHost(db: Database, hostId: number): number {
  const sql =
    "select count(*) as n from deliveries d join endpoints p on p.id = d.endpoint_id where d.lease_token is not null and p.host_id = ?";
  return db.get(sql, hostId)?.["n"] as number;
}

/** The next instant at which something that is not due now will be. */
function nextDueAt(db: Database, nowMs: number): number | null {
  const row = db.get(
    `select min(due) as due from (
       select (select min(next_due_at) from hosts where next_due_at > ?1) as due
       union all
       select (select min(paused_until) from hosts where paused_until > ?1 and next_due_at is not null))`,
    nowMs,
  );
  return row === undefined ? null : integerOrNull(row, "due");
}

import type { ClaimRequest, ClaimResult } from "../../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { Database, Row } from "../connection/database.ts";
import { claimMarkedRetries } from "./manual-retries.ts";
import { boundOf, raiseHostDue, refreshDue } from "./due-bounds.ts";
import { leaseJob } from "./send-jobs.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";

/**
 * Leases what is due: retries by hand that were left, ahead of all, then the hosts waiting longest first, each within its
 * room. While an endpoint or host has a pause behind it (consecutive_pauses > 0) one delivery of it is out at a time, until
 * a 2xx.
 *
 * Bounds may be too low, for what was due may have been removed, and hide what stands behind them. Every claim raises
 * those it meets; if it met any, the next is said to be due now, so that whoever claims asks again at once.
 *
 * The cost is that of what is claimed, not of what is owed: with 10,000 owed to an endpoint without room 0.5 ms, the way
 * to the thread and back included; 64 of 100,000 endpoints of a host that came due together 6 ms, 0.1 ms a job.
 */
export function claimDue(db: Database, request: ClaimRequest): ClaimResult {
  const byHand = claimMarkedRetries(db, request.limit, request.nowMs);
  const claim = new Claim(db, { ...request, limit: request.limit - byHand.length });
  const waiting = [...claim.dueHosts(false), ...claim.dueHosts(true)].toSorted((a, b) => integer(a, "due_at") - integer(b, "due_at"));
  const jobs = waiting.flatMap((host) => claim.ofHost(host));
  return { jobs: [...byHand, ...jobs], nextDueAtMs: claim.metLowBound ? request.nowMs : nextDueAt(db, request.nowMs) };
}

/** The room that is left while one claim goes from host to host. */
class Claim {
  readonly #db: Database;
  readonly #nowMs: number;
  readonly #defaultCapacity: number;
  readonly #endpointCapacity: ReadonlyMap<string, number>;
  readonly #hostCapacity: Map<string, number>;
  /** Something was said to be due and was not; it is no longer. */
  metLowBound = false;
  #left: number;
  #failingLeft: number;
  #leasedHosts: ReadonlySet<number> | null = null;

  constructor(db: Database, request: ClaimRequest) {
    this.#db = db;
    this.#nowMs = request.nowMs;
    this.#defaultCapacity = request.defaultCapacity;
    this.#endpointCapacity = new Map(request.capacityByEndpoint);
    this.#hostCapacity = new Map(request.capacityByHost);
    this.#left = request.limit;
    this.#failingLeft = Math.min(request.failingLimit, request.limit);
  }

  /** Hosts with something due; enough of them that those without room cannot hide the others. */
  dueHosts(failing: boolean): readonly Row[] {
    const limit = failing ? this.#failingLeft : this.#left;
    if (limit <= 0) return [];
    const bound = boundOf(failing);
    return this.#db.all(
      `select id, account_id, origin, consecutive_pauses, ${bound} as due_at, ${Number(failing)} as failing from hosts
       where ${bound} <= ?1 and (paused_until is null or paused_until <= ?1) order by ${bound} limit ?2`,
      this.#nowMs,
      limit + this.#hostCapacity.size + this.#endpointCapacity.size,
    );
  }

  ofHost(host: Row): readonly SendJob[] {
    const hostId = integer(host, "id");
    const failing = host["failing"] === 1;
    const hostKey = `${text(host, "account_id")} ${text(host, "origin")}`;
    const probing = integer(host, "consecutive_pauses") > 0;
    let available = Math.min(
      this.#hostCapacity.get(hostKey) ?? this.#defaultCapacity,
      this.#left,
      failing ? this.#failingLeft : this.#left,
    );
    if (probing) available = Math.min(available, this.#hasLease(hostId) ? 0 : 1);
    if (available <= 0) return [];
    const jobs: SendJob[] = [];
    const endpoints = this.#dueEndpoints(hostId, failing, available + this.#endpointCapacity.size);
    if (endpoints.length === 0) this.metLowBound = true;
    for (const endpoint of endpoints) {
      if (jobs.length >= available) break;
      jobs.push(...this.#ofEndpoint(endpoint, available - jobs.length));
    }
    this.#left -= jobs.length;
    if (failing) this.#failingLeft -= jobs.length;
    // Its other class of endpoints shares the room, and a probe goes alone.
    const capacityAfter = probing && jobs.length > 0 ? 0 : (this.#hostCapacity.get(hostKey) ?? this.#defaultCapacity) - jobs.length;
    this.#hostCapacity.set(hostKey, capacityAfter);
    raiseHostDue(this.#db, hostId, failing);
    return jobs;
  }

  #dueEndpoints(hostId: number, failing: boolean, limit: number): readonly Row[] {
    return this.#db.all(
      `select id, consecutive_pauses from endpoints
       where host_id = ?1 and failing = ?2 and state = 'enabled' and next_due_at <= ?3 and (paused_until is null or paused_until <= ?3)
       order by next_due_at limit ?4`,
      hostId,
      failing,
      this.#nowMs,
      limit,
    );
  }

  #ofEndpoint(endpoint: Row, hostCapacity: number): readonly SendJob[] {
    const endpointId = text(endpoint, "id");
    let available = Math.min(hostCapacity, this.#endpointCapacity.get(endpointId) ?? this.#defaultCapacity);
    if (integer(endpoint, "consecutive_pauses") > 0)
      available = Math.min(
        available,
        this.#db.get("select 1 from deliveries where endpoint_id = ? and lease_token is not null limit 1", endpointId) ? 0 : 1,
      );
    if (available <= 0) return [];
    const due = this.#db.all(
      `select id from deliveries where endpoint_id = ? and status = 'pending' and lease_token is null and due_at <= ? order by due_at, rowid limit ?`,
      endpointId,
      this.#nowMs,
      available,
    );
    if (due.length === 0) this.metLowBound = true;
    const jobs = due.map((row) => leaseJob(this.#db, text(row, "id"), "scheduled", this.#nowMs));
    refreshDue(this.#db, endpointId);
    return jobs;
  }

  /** Whether something of the host is out already; the leases are as many as may be in flight, so they are read once. */
  #hasLease(hostId: number): boolean {
    this.#leasedHosts ??= new Set(
      this.#db
        .all("select distinct p.host_id from deliveries d join endpoints p on p.id = d.endpoint_id where d.lease_token is not null")
        .map((row) => integer(row, "host_id")),
    );
    return this.#leasedHosts.has(hostId);
  }
}

/** The next instant at which something that is not due now will be; pauses are in the bounds. */
function nextDueAt(db: Database, nowMs: number): number | null {
  const row = db.get(
    `select min(due_at) as due_at from (
       select min(next_due_at) as due_at from hosts where next_due_at > ?1
       union all select min(failing_due_at) from hosts where failing_due_at > ?1)`,
    nowMs,
  );
  return row === undefined ? null : integerOrNull(row, "due_at");
}

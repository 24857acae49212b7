import type { ClaimRequest, ClaimResult } from "../../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { claimOrder } from "../../../domain/deliveries/bring-forward.ts";
import type { Claimable } from "../../../domain/deliveries/bring-forward.ts";
import { id, integer, integerOrNull, text } from "../../sql/rows.ts";
import { disabledKeys } from "../accounts/disabled-accounts.ts";
import type { Database, Row } from "../connection/database.ts";
import { boundOf, raiseHostDue, refreshDue } from "./due-bounds.ts";
import { claimMarkedRetries } from "./manual-retries.ts";
import { leaseJob } from "./send-jobs.ts";

export const writes = { claimDue };

/**
 * Leases due deliveries: first the manual retries without a lease, then the hosts that have waited longest, each within its
 * capacity. After a pause (consecutive_pauses > 0) an endpoint or host has one delivery in flight at a time, until a 2xx.
 *
 * A bound may be too low, because its due delivery was removed, and hide the hosts and endpoints after it. Every claim
 * raises the bounds that it finds stale. If it found any, the result names the next delivery as due now, so that the
 * caller claims again at once.
 *
 * The cost follows the number of claimed deliveries, not of pending ones: 0.5 ms with 10,000 pending at an endpoint
 * without capacity, the way to the thread and back included; 6 ms (0.1 ms a job) for 64 of 100,000 endpoints of a host
 * that became due together.
 */
function claimDue(db: Database, request: ClaimRequest): ClaimResult {
  const manual = claimMarkedRetries(db, request.limit, request.nowMs);
  const claim = new Claim(db, { ...request, limit: request.limit - manual.length });
  const hosts = [...claim.dueHosts(false), ...claim.dueHosts(true)].toSorted((a, b) => integer(a, "due_at") - integer(b, "due_at"));
  const jobs = hosts.flatMap((host) => claim.claimFromHost(host));
  return { jobs: [...manual, ...jobs], nextDueAtMs: claim.foundStaleBound ? request.nowMs : nextDueAt(db, request.nowMs) };
}

/** Tracks the remaining capacity while one claim goes from host to host. */
class Claim {
  readonly #db: Database;
  readonly #nowMs: number;
  readonly #defaultCapacity: number;
  readonly #endpointCapacity: ReadonlyMap<string, number>;
  readonly #hostCapacity: Map<string, number>;
  /** Whether a bound was earlier than anything due under it. */
  foundStaleBound = false;
  #available: number;
  #failingAvailable: number;
  #leasedHosts: ReadonlySet<number> | null = null;

  constructor(db: Database, request: ClaimRequest) {
    this.#db = db;
    this.#nowMs = request.nowMs;
    this.#defaultCapacity = request.defaultCapacity;
    this.#endpointCapacity = new Map(request.capacityByEndpoint);
    this.#hostCapacity = new Map(request.capacityByHost);
    this.#available = request.limit;
    this.#failingAvailable = Math.min(request.failingLimit, request.limit);
  }

  /** Returns hosts with due deliveries; enough of them that hosts without capacity cannot hide the others. */
  dueHosts(failing: boolean): readonly Row[] {
    const limit = failing ? this.#failingAvailable : this.#available;
    if (limit <= 0) return [];
    const bound = boundOf(failing);
    return this.#db.all(
      `select id, account_id, origin, consecutive_pauses, ${bound} as due_at, ${Number(failing)} as failing from hosts
       where ${bound} <= ?1 and (paused_until is null or paused_until <= ?1) order by ${bound} limit ?2`,
      this.#nowMs,
      limit + this.#hostCapacity.size + this.#endpointCapacity.size,
    );
  }

  claimFromHost(host: Row): readonly SendJob[] {
    const hostId = integer(host, "id");
    const failing = host["failing"] === 1;
    const hostKey = `${id(host, "acc", "account_id")} ${text(host, "origin")}`;
    const probing = integer(host, "consecutive_pauses") > 0;
    let available = Math.min(
      this.#hostCapacity.get(hostKey) ?? this.#defaultCapacity,
      this.#available,
      failing ? this.#failingAvailable : this.#available,
    );
    if (probing) available = Math.min(available, this.#hasLease(hostId) ? 0 : 1);
    if (available <= 0) return [];
    const jobs: SendJob[] = [];
    // Raising the bound of a host of a disabled account removes the host from the next claims.
    const isOpen = !disabledKeys(this.#db).has(integer(host, "account_id"));
    const endpoints = isOpen ? this.#dueEndpoints(hostId, failing, available + this.#endpointCapacity.size) : [];
    if (endpoints.length === 0) this.foundStaleBound = true;
    for (const endpoint of endpoints) {
      if (jobs.length >= available) break;
      jobs.push(...this.#claimFromEndpoint(endpoint, available - jobs.length));
    }
    this.#available -= jobs.length;
    if (failing) this.#failingAvailable -= jobs.length;
    // Healthy and failing endpoints share the capacity of their host. A host after a pause has one delivery in flight.
    const capacityAfter = probing && jobs.length > 0 ? 0 : (this.#hostCapacity.get(hostKey) ?? this.#defaultCapacity) - jobs.length;
    this.#hostCapacity.set(hostKey, capacityAfter);
    raiseHostDue(this.#db, hostId, failing);
    return jobs;
  }

  #dueEndpoints(hostId: number, failing: boolean, limit: number): readonly Row[] {
    return this.#db.all(
      `select id, consecutive_pauses, recoveries, recovered_at from endpoints
       where host_id = ?1 and failing = ?2 and state = 'enabled' and held = 0 and next_due_at <= ?3 and (paused_until is null or paused_until <= ?3)
       order by next_due_at limit ?4`,
      hostId,
      failing,
      this.#nowMs,
      limit,
    );
  }

  #claimFromEndpoint(endpoint: Row, hostCapacity: number): readonly SendJob[] {
    const endpointKey = integer(endpoint, "id");
    let available = Math.min(hostCapacity, this.#endpointCapacity.get(id(endpoint, "ep", "id")) ?? this.#defaultCapacity);
    if (integer(endpoint, "consecutive_pauses") > 0)
      available = Math.min(
        available,
        this.#db.get("select 1 from deliveries where endpoint_id = ? and lease_token is not null limit 1", endpointKey) ? 0 : 1,
      );
    if (available <= 0) return [];
    const due = this.#claimable("due_at <= ?2 order by due_at, id", endpointKey, this.#nowMs, available);
    const recoveredAtMs = integerOrNull(endpoint, "recovered_at");
    const recoveries = integer(endpoint, "recoveries");
    const early = recoveries === 0 ? [] : this.#claimable("early_after < ?2 order by early_after, id", endpointKey, recoveries, available);
    const chosen = claimOrder({ due, early, recoveredAtMs }, this.#nowMs, available);
    if (chosen.length === 0) this.foundStaleBound = true;
    const jobs = chosen.map(({ key, mode }) => leaseJob(this.#db, key, mode, this.#nowMs));
    refreshDue(this.#db, endpointKey);
    return jobs;
  }

  #claimable(range: string, endpointKey: number, bound: number, limit: number): readonly Claimable[] {
    return this.#db
      .all(
        `select id, due_at from deliveries where endpoint_id = ?1 and status = 'pending' and lease_token is null and ${range} limit ?3`,
        endpointKey,
        bound,
        limit,
      )
      .map((row) => ({ key: integer(row, "id"), dueAtMs: integer(row, "due_at") }));
  }

  /** Whether a delivery of the host is leased. Reads all leases once: there are only as many as may be in flight. */
  #hasLease(hostId: number): boolean {
    this.#leasedHosts ??= new Set(
      this.#db
        .all("select distinct p.host_id from deliveries d join endpoints p on p.id = d.endpoint_id where d.lease_token is not null")
        .map((row) => integer(row, "host_id")),
    );
    return this.#leasedHosts.has(hostId);
  }
}

/** Returns the earliest bound after `nowMs`. Bounds include the pauses. */
function nextDueAt(db: Database, nowMs: number): number | null {
  const row = db.get(
    `select min(due_at) as due_at from (
       select min(next_due_at) as due_at from hosts where next_due_at > ?1
       union all select min(failing_due_at) from hosts where failing_due_at > ?1)`,
    nowMs,
  );
  return row === undefined ? null : integerOrNull(row, "due_at");
}

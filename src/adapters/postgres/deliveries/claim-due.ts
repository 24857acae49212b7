import { decodeId } from "../../../domain/ids.ts";
import type { ClaimRequest, ClaimResult } from "../../../ports/stores/delivery-store.ts";
import { claimOrder } from "../../../domain/deliveries/bring-forward.ts";
import type { Row } from "../../sql/rows.ts";
import { flag, id, integer, integerOrNull, text } from "../../sql/rows.ts";
import { isOfDisabled } from "../accounts/disabled-accounts.ts";
import type { Database } from "../connection/database.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";
import { claimMarkedRetries } from "./manual-retries.ts";
import { raiseHosts, refreshDue } from "./due-bounds.ts";
import { InFlight } from "./in-flight-counts.ts";
import { Targets, leaseJobs } from "./send-jobs.ts";

export const composites = { claimDue };

/**
 * Claims due deliveries. Pending manual retries without a lease come first and are claimed alone; otherwise hosts are
 * served in the order of their due times, each within its capacity. After a pause (consecutive_pauses > 0) an endpoint or
 * host has at most one delivery in flight over all instances, until a 2xx.
 *
 * A claim that finds nothing due costs two statements. Claims that find something run one after another over all instances,
 * because a concurrent claim of the same rows would only wait for their locks and then find them leased.
 */
async function claimDue(db: Database, request: ClaimRequest): Promise<ClaimResult> {
  const manualJobs = await claimMarkedRetries(db, request.limit, request.nowMs);
  // These leases are committed, so a failure of a second transaction must not discard the jobs.
  return manualJobs.length > 0 ? { jobs: manualJobs, nextDueAtMs: request.nowMs } : claimScheduled(db, request);
}

async function claimScheduled(db: Database, request: ClaimRequest): Promise<ClaimResult> {
  const unlocked = await findDueHosts(db, request);
  if (unlocked.hosts.length === 0 || request.limit <= 0) return { jobs: [], nextDueAtMs: unlocked.nextDueAtMs };
  return db.ownerTransaction(async (tx, token) => {
    const [, due] = await Promise.all([tx.run("select pg_advisory_xact_lock($1)", claimLockKey), findDueHosts(tx, request)]);
    return due.hosts.length === 0 ? { jobs: [], nextDueAtMs: due.nextDueAtMs } : claimFrom(tx, token, request, due.hosts);
  });
}

/** Advisory lock that serializes claims; an arbitrary number. */
const claimLockKey = 7_464_622_230;

/** Deliveries of one endpoint that the claim may take, in the order in which it takes them. */
type Candidates = ReturnType<typeof claimOrder>;

type DueHosts = { readonly hosts: readonly Row[]; readonly nextDueAtMs: number | null };

/**
 * Finds hosts with due deliveries, healthy and failing endpoints apart, and the time at which the next host is due. Reads more
 * hosts than the limit, so that hosts without capacity cannot hide the others.
 */
async function findDueHosts(db: Queries, request: ClaimRequest): Promise<DueHosts> {
  const { nowMs, limit, capacityByEndpoint, capacityByHost } = request;
  const spare = capacityByEndpoint.length + capacityByHost.length;
  const failingLimit = Math.min(request.failingLimit, limit);
  const rows = await db.all(
    `select * from (select id, account_id, origin, consecutive_pauses, next_due_at as due_at, false as failing, ${isOfDisabled("account_id")} as is_closed from hosts
       where next_due_at <= $1 and (paused_until is null or paused_until <= $1) order by next_due_at limit $2) healthy
     union all
     select * from (select id, account_id, origin, consecutive_pauses, failing_due_at, true, ${isOfDisabled("account_id")} from hosts
       where failing_due_at <= $1 and (paused_until is null or paused_until <= $1) order by failing_due_at limit $3) failing
     union all
     select null, null, null, null, least(
       (select next_due_at from hosts where next_due_at > $1 order by next_due_at limit 1),
       (select failing_due_at from hosts where failing_due_at > $1 order by failing_due_at limit 1)), null, null`,
    nowMs,
    limit <= 0 ? 0 : limit + spare,
    failingLimit <= 0 ? 0 : failingLimit + spare,
  );
  const next = rows.find((row) => row["id"] === null);
  const hosts = rows.filter((row) => row["id"] !== null).toSorted((a, b) => integer(a, "due_at") - integer(b, "due_at"));
  return { hosts, nextDueAtMs: next === undefined ? null : integerOrNull(next, "due_at") };
}

async function claimFrom(tx: Transaction, token: number, request: ClaimRequest, hosts: readonly Row[]): Promise<ClaimResult> {
  // Raising the bounds of the hosts of disabled accounts removes these hosts from the next claims.
  const open = hosts.filter((row) => row["is_closed"] !== true);
  const endpoints = await findDueEndpoints(tx, request, open);
  const endpointKeys = endpoints.map((row) => integer(row, "id"));
  const hostIds = [...new Set(hosts.map((row) => integer(row, "id")))];
  const [inFlight, endpointState, deliveries, targets] = await Promise.all([
    InFlight.lock(tx, endpointKeys),
    readEndpointState(tx, endpointKeys),
    findDueDeliveries(tx, request, endpointKeys),
    Targets.read(tx, endpointKeys),
  ]);
  const pauses = [...endpointState.values()].some(
    (row) => integer(row, "consecutive_pauses") > 0 || integer(row, "host_consecutive_pauses") > 0,
  );
  const selection = new ClaimSelection(request, endpointState, pauses ? await readLeases(tx, hostIds) : noLeases, inFlight);
  const chosen = open.flatMap((host) => selection.ofHost(host, endpoints, deliveries));
  const [jobs, , , { nextDueAtMs }] = await Promise.all([
    leaseJobs(tx, token, chosen, request.nowMs, targets),
    refreshDue(tx, endpointKeys),
    raiseHosts(tx, hostIds),
    findDueHosts(tx, { ...request, limit: 0 }),
  ]);
  // A stale bound pointed to an endpoint without due deliveries. It is raised now, so an immediate second claim finds the
  // hosts behind it; each such claim raises a bound, so these claims end.
  const capacities = capacityByEndpoint(request);
  const hadStaleBound =
    open.length < hosts.length || endpointKeys.some((key) => !deliveries.has(key) && (capacities.get(key) ?? request.defaultCapacity) > 0);
  return { jobs, nextDueAtMs: jobs.length === 0 && hadStaleBound ? request.nowMs : nextDueAtMs };
}

/** Finds the due endpoints of each host, earliest due first, up to the host's capacity. */
async function findDueEndpoints(tx: Transaction, request: ClaimRequest, hosts: readonly Row[]): Promise<readonly Row[]> {
  const capacities = new Map(request.capacityByHost);
  return tx.all(
    `select p.id, p.host_id, p.failing from unnest($1::bigint[], $2::boolean[], $3::integer[]) with ordinality as u(host_id, failing, capacity, n)
     cross join lateral (
       select id, host_id, failing, next_due_at from endpoints
       where host_id = u.host_id and failing = u.failing and state = 'enabled' and held = 0 and next_due_at <= $4 and (paused_until is null or paused_until <= $4)
       order by next_due_at limit u.capacity) p
     order by u.n, p.next_due_at`,
    hosts.map((row) => integer(row, "id")),
    hosts.map((row) => flag(row, "failing")),
    hosts.map((row) => {
      const available = Math.min(capacities.get(hostKeyOf(row)) ?? request.defaultCapacity, request.limit);
      return available <= 0 ? 0 : available + request.capacityByEndpoint.length;
    }),
    request.nowMs,
  );
}

/** Reads the state of endpoints and their hosts; the caller has locked them. */
async function readEndpointState(tx: Transaction, endpointKeys: readonly number[]): Promise<ReadonlyMap<number, Row>> {
  const rows = await tx.all(
    `select p.id, p.state, p.held, p.failing, p.paused_until, p.consecutive_pauses, h.paused_until as host_paused_until,
       h.consecutive_pauses as host_consecutive_pauses
     from endpoints p join hosts h on h.id = p.host_id where p.id = any($1)`,
    endpointKeys,
  );
  return new Map(rows.map((row) => [integer(row, "id"), row]));
}

type Leases = { readonly endpoints: ReadonlySet<number>; readonly hosts: ReadonlySet<number> };

const noLeases: Leases = { endpoints: new Set(), hosts: new Set() };

/** Finds endpoints and hosts with a delivery in flight, among those that may have only one. Their leases are bounded by the limits in flight. */
async function readLeases(tx: Transaction, hostIds: readonly number[]): Promise<Leases> {
  const rows = await tx.all(
    `select distinct d.endpoint_id, p.host_id from instances i join deliveries d on d.lease_owner = i.token and d.lease_token is not null
     join endpoints p on p.id = d.endpoint_id join hosts h on h.id = p.host_id
     where h.id = any($1) and (p.consecutive_pauses > 0 or h.consecutive_pauses > 0)`,
    hostIds,
  );
  return {
    endpoints: new Set(rows.map((row) => integer(row, "endpoint_id"))),
    hosts: new Set(rows.map((row) => integer(row, "host_id"))),
  };
}

/**
 * Finds the deliveries of each endpoint that may be claimed, in the order of claims, up to the endpoint's capacity: those that
 * are due, and those that its recovery brings forward.
 */
async function findDueDeliveries(
  tx: Transaction,
  request: ClaimRequest,
  endpointKeys: readonly number[],
): Promise<ReadonlyMap<number, Candidates>> {
  const capacities = capacityByEndpoint(request);
  const capacityOf = (key: number) => Math.max(0, Math.min(capacities.get(key) ?? request.defaultCapacity, request.limit));
  const claimable = "select id, due_at from deliveries where endpoint_id = u.id and status = 'pending' and lease_token is null";
  const rows = await tx.all(
    `select u.id as endpoint_id, p.recovered_at, d.id, d.due_at, d.early
     from unnest($1::bigint[], $2::integer[]) as u(id, capacity) join endpoints p on p.id = u.id
     cross join lateral (
       (select x.*, false as early, 0 as early_after from (
         ${claimable} and due_at is not null and due_at <= $3 order by due_at, id limit u.capacity) x)
       union all
       (select x.id, x.due_at, true, x.early_after from (
         ${claimable.replace("due_at", "due_at, early_after")} and early_after < p.recoveries order by early_after, id limit u.capacity) x)) d
     order by d.early_after, case when d.early then 0 else d.due_at end, d.id`,
    endpointKeys,
    endpointKeys.map(capacityOf),
    request.nowMs,
  );
  return new Map(
    [...Map.groupBy(rows, (row) => integer(row, "endpoint_id"))].map(([endpointKey, group]) => {
      const [due, early] = [false, true].map((isEarly) =>
        group.filter((row) => flag(row, "early") === isEarly).map((row) => ({ key: integer(row, "id"), dueAtMs: integer(row, "due_at") })),
      );
      const recoveredAtMs = integerOrNull(group[0] ?? {}, "recovered_at");
      return [endpointKey, claimOrder({ due: due ?? [], early: early ?? [], recoveredAtMs }, request.nowMs, capacityOf(endpointKey))];
    }),
  );
}

/** Remaining capacity during one claim. A claim goes from host to host. */
class ClaimSelection {
  readonly #nowMs: number;
  readonly #defaultCapacity: number;
  readonly #endpointCapacity: ReadonlyMap<number, number>;
  readonly #hostCapacity: Map<string, number>;
  readonly #endpointState: ReadonlyMap<number, Row>;
  readonly #busy: Leases;
  readonly #inFlight: InFlight;
  #left: number;
  #failingLeft: number;

  constructor(request: ClaimRequest, endpointState: ReadonlyMap<number, Row>, busy: Leases, inFlight: InFlight) {
    this.#nowMs = request.nowMs;
    this.#defaultCapacity = request.defaultCapacity;
    this.#endpointCapacity = capacityByEndpoint(request);
    this.#hostCapacity = new Map(request.capacityByHost);
    this.#left = request.limit;
    this.#failingLeft = Math.min(request.failingLimit, request.limit);
    this.#endpointState = endpointState;
    this.#busy = busy;
    this.#inFlight = inFlight;
  }

  ofHost(host: Row, endpoints: readonly Row[], deliveries: ReadonlyMap<number, Candidates>): Candidates {
    const hostId = integer(host, "id");
    const failing = flag(host, "failing");
    const hostKey = hostKeyOf(host);
    const own = endpoints.filter((row) => row["host_id"] === hostId && row["failing"] === failing);
    const probing = own.some((row) => integer(this.#endpointState.get(integer(row, "id")) ?? host, "host_consecutive_pauses") > 0);
    const hostCapacity = this.#hostCapacity.get(hostKey) ?? this.#defaultCapacity;
    let available = Math.min(hostCapacity, this.#left, failing ? this.#failingLeft : this.#left);
    if (probing) available = Math.min(available, this.#busy.hosts.has(hostId) ? 0 : 1);
    const chosen: Candidates[number][] = [];
    for (const row of own) {
      if (chosen.length >= available) break;
      chosen.push(...this.#ofEndpoint(integer(row, "id"), failing, available - chosen.length, deliveries));
    }
    this.#left -= chosen.length;
    if (failing) this.#failingLeft -= chosen.length;
    // Healthy and failing endpoints of a host share its capacity, and a probe after a pause is the only delivery.
    this.#hostCapacity.set(hostKey, probing && chosen.length > 0 ? 0 : hostCapacity - chosen.length);
    return chosen;
  }

  #ofEndpoint(endpointKey: number, failing: boolean, hostCapacity: number, deliveries: ReadonlyMap<number, Candidates>): Candidates {
    const row = this.#endpointState.get(endpointKey);
    if (row === undefined || row["state"] !== "enabled" || row["held"] !== 0 || row["failing"] !== failing || this.#isPaused(row))
      return [];
    let available = Math.min(hostCapacity, this.#endpointCapacity.get(endpointKey) ?? this.#defaultCapacity);
    if (integer(row, "consecutive_pauses") > 0) available = Math.min(available, this.#busy.endpoints.has(endpointKey) ? 0 : 1);
    if (available <= 0) return [];
    return (deliveries.get(endpointKey) ?? []).slice(0, available).filter(() => this.#inFlight.take(endpointKey));
  }

  #isPaused(row: Row): boolean {
    return Math.max(integerOrNull(row, "paused_until") ?? 0, integerOrNull(row, "host_paused_until") ?? 0) > this.#nowMs;
  }
}

function capacityByEndpoint(request: ClaimRequest): ReadonlyMap<number, number> {
  return new Map(request.capacityByEndpoint.map(([endpointId, available]) => [decodeId(endpointId), available]));
}

function hostKeyOf(host: Row): string {
  return `${id(host, "acc", "account_id")} ${text(host, "origin")}`;
}

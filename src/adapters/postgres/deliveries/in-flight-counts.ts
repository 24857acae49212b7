import type { Row } from "../../sql/rows.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockEndpoints } from "./due-bounds.ts";

const ofHosts = "select host_id from endpoints where id = any($1)";

type LeaseCount = { readonly limit: number; ofPeers: number; all: number };

/**
 * Capacity of endpoints and hosts over all instances, where each lease counts as one delivery in flight. The limits apply
 * only where other instances hold leases: an instance alone is limited by its own delivery limits and may lease ahead.
 * Leases of evicted instances do not count.
 */
export class InFlight {
  readonly #endpoints = new Map<number, LeaseCount & { readonly hostId: number }>();
  readonly #hosts = new Map<number, LeaseCount>();

  /** Locks endpoints and hosts, so that two instances cannot use the same capacity. */
  static async lock(tx: Transaction, endpointKeys: readonly number[]): Promise<InFlight> {
    const [endpoints, , leases] = await Promise.all([
      lockEndpoints(tx, endpointKeys),
      tx.run(`select 1 from hosts where id = any(array(${ofHosts})) order by id for no key update`, endpointKeys),
      tx.hasPeers ? readLeases(tx, endpointKeys) : [],
    ]);
    return new InFlight(tx, endpoints, leases);
  }

  private constructor(tx: Transaction, endpoints: readonly Row[], leases: readonly Row[]) {
    for (const row of endpoints) {
      const hostId = integer(row, "host_id");
      const limit = integerOrNull(row, "max_in_flight") ?? tx.limits.endpointMaxInFlight;
      this.#endpoints.set(integer(row, "id"), { hostId, limit, ofPeers: 0, all: 0 });
      this.#hosts.set(hostId, { limit: tx.limits.hostMaxInFlight, ofPeers: 0, all: 0 });
    }
    for (const row of leases)
      for (const count of [this.#endpoints.get(integer(row, "endpoint_id")), this.#hosts.get(integer(row, "host_id"))]) {
        if (count === undefined) continue;
        count.all += integer(row, "n");
        count.ofPeers += integer(row, "of_peers");
      }
  }

  /** Adds a lease and returns true, or returns false if the endpoint or its host has no capacity. */
  take(endpointKey: number): boolean {
    const endpoint = this.#endpoints.get(endpointKey);
    const host = this.#hosts.get(endpoint?.hostId ?? 0);
    if (endpoint === undefined || host === undefined || !hasCapacity(endpoint) || !hasCapacity(host)) return false;
    endpoint.all += 1;
    host.all += 1;
    return true;
  }
}

function hasCapacity({ limit, ofPeers, all }: LeaseCount): boolean {
  return ofPeers === 0 || all < limit;
}

/** Counts the leases of every endpoint on the same hosts. Their number is bounded by the limits in flight. */
function readLeases(tx: Transaction, endpointKeys: readonly number[]): Promise<Row[]> {
  return tx.all(
    `select d.endpoint_id, p.host_id, count(*) as n, count(*) filter (where d.lease_owner is distinct from $2) as of_peers
         from instances i join deliveries d on d.lease_owner = i.token and d.lease_token is not null join endpoints p on p.id = d.endpoint_id
         where p.host_id = any(array(${ofHosts})) group by d.endpoint_id, p.host_id`,
    endpointKeys,
    tx.token,
  );
}

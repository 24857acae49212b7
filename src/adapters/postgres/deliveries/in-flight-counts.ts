import type { Row, Transaction } from "../connection/database.ts";
import { lockEndpoints } from "./due-bounds.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";

const ofHosts = "select host_id from endpoints where id = any($1)";

type Place = { limit: number; ofOthers: number; all: number };

/**
 * Room at endpoints and hosts over all instances: a lease is a place in flight. What this instance may have of it is its
 * gates' own affair; where no other instance holds any it is not counted here, so that it may hold some ahead. Leases of
 * instances that are gone are no leases.
 */
export class InFlight {
  readonly #endpoints = new Map<string, Place & { readonly hostId: number }>();
  readonly #hosts = new Map<number, Place>();

  /** Locks endpoints and hosts, so that two instances do not take the same place. */
  static async lock(tx: Transaction, endpointIds: readonly string[]): Promise<InFlight> {
    const [endpoints, , leases] = await Promise.all([
      lockEndpoints(tx, endpointIds),
      tx.run(`select 1 from hosts where id = any(array(${ofHosts})) order by id for no key update`, endpointIds),
      tx.hasPeers ? readLeases(tx, endpointIds) : [],
    ]);
    return new InFlight(tx, endpoints, leases);
  }

  private constructor(tx: Transaction, endpoints: readonly Row[], leases: readonly Row[]) {
    for (const row of endpoints) {
      const hostId = integer(row, "host_id");
      const limit = integerOrNull(row, "max_in_flight") ?? tx.limits.endpointMaxInFlight;
      this.#endpoints.set(text(row, "id"), { hostId, limit, ofOthers: 0, all: 0 });
      this.#hosts.set(hostId, { limit: tx.limits.hostMaxInFlight, ofOthers: 0, all: 0 });
    }
    for (const row of leases)
      for (const place of [this.#endpoints.get(text(row, "endpoint_id")), this.#hosts.get(integer(row, "host_id"))]) {
        if (place === undefined) continue;
        place.all += integer(row, "n");
        place.ofOthers += integer(row, "of_others");
      }
  }

  /** False: there is no room. */
  take(endpointId: string): boolean {
    const endpoint = this.#endpoints.get(endpointId);
    const host = this.#hosts.get(endpoint?.hostId ?? 0);
    if (endpoint === undefined || host === undefined || !hasCapacity(endpoint) || !hasCapacity(host)) return false;
    endpoint.all += 1;
    host.all += 1;
    return true;
  }
}

function hasCapacity({ limit, ofOthers, all }: Place): boolean {
  return ofOthers === 0 || all < limit;
}

/** By endpoint, of every endpoint on the same hosts. The leases are as many as may be in flight. */
function readLeases(tx: Transaction, endpointIds: readonly string[]): Promise<Row[]> {
  return tx.all(
    `select d.endpoint_id, p.host_id, count(*) as n, count(*) filter (where d.lease_owner is distinct from $2) as of_others
         from instances i join deliveries d on d.lease_owner = i.token and d.lease_token is not null join endpoints p on p.id = d.endpoint_id
         where p.host_id = any(array(${ofHosts})) group by d.endpoint_id, p.host_id`,
    endpointIds,
    tx.token,
  );
}

import type pg from "pg";
import { deliveryStatuses } from "../../../src/domain/deliveries/delivery.ts";
import { watchStatuses } from "../../../src/domain/calls/watch.ts";
import { decodeId, encodeId } from "../../../src/domain/ids.ts";
import { startMs } from "../store-drafts.ts";
import type { StoreWorld } from "../store-drafts.ts";

/**
 * `ordinary`: nearly everything is delivered, and what is pending is new. `stuck`: nearly everything is pending, and what is
 * settled, terminal or of a rare type is the oldest.
 */
export type Shape = "ordinary" | "stuck";

const eventsPerWatch = 5;
/** The endpoint that nearly all deliveries go to. */
export const crowdedUrl = "https://a.example/";
const [crowdedEndpoint, quietEndpoint, otherEndpoint] = [1, 2, 3];
/** Positions of other events begin here. */
const firstOwnPosition = 100_000_000;
/** Watches of the other account, which are the oldest. */
const otherWatches = 20;

/** An account that has nearly all rows of a database, and another one that has the oldest few. */
export class CrowdedLists {
  readonly #world: StoreWorld;
  readonly #client: pg.Client;
  readonly #accountIds: readonly [crowded: string, other: string];

  static async prepare(world: StoreWorld, client: pg.Client): Promise<CrowdedLists> {
    const accounts = await Promise.all([world.account(), world.account("other")]);
    const [crowded, other] = accounts.map(({ id }) => decodeId(id));
    await client.query(`
      insert into hosts (id, account_id, origin) overriding system value values (1, ${crowded}, 'https://a.example:443'), (2, ${crowded}, 'https://b.example:443'), (3, ${other}, 'https://c.example:443');
      insert into endpoints (id, account_id, url, host_id, format, header_names, signatures, late, state, created_at)
        select h.id, h.account_id, replace(h.origin, ':443', '/'), h.id, 'flat', '[]', '[]', 'send', 'enabled', 1 from hosts h where h.id <= 3;
      insert into hooks (id, account_id, endpoint_id, created_at) select p.id, p.account_id, p.id, 1 from endpoints p where p.id <= 3;
      select setval(pg_get_serial_sequence('events', 'position'), ${firstOwnPosition}), setval(pg_get_serial_sequence('hosts', 'id'), 3)`);
    return new CrowdedLists(world, client, [accounts[0].id, accounts[1].id]);
  }

  private constructor(world: StoreWorld, client: pg.Client, accountIds: readonly [string, string]) {
    this.#world = world;
    this.#client = client;
    this.#accountIds = accountIds;
  }

  /** Inserts `deliveries` events with one delivery each. Keys are small numbers, so that every other row is newer. */
  async fill(deliveries: number, shape: Shape): Promise<void> {
    const [crowded, other] = this.#accountIds.map(decodeId);
    const old = otherWatches * eventsPerWatch * 2;
    const isOld = `p <= ${old}`;
    const someStatus = `(array['delivered', 'exhausted', 'failed', 'canceled', 'superseded', 'expired'])[1 + p % 6]`;
    const status =
      shape === "stuck"
        ? `case when ${isOld} then ${someStatus} else 'pending' end`
        : `case when p > ${deliveries - 100} then 'pending' when p % 50 = 0 then ${someStatus} else 'delivered' end`;
    const watchStatus =
      shape === "stuck"
        ? `case when n <= ${otherWatches * 2} then (array['completed', 'ended', 'canceled'])[1 + n % 3] else 'active' end`
        : `case when n > ${deliveries / eventsPerWatch - 40} then 'active' when n % 50 = 0 then 'canceled' else 'completed' end`;
    const isTerminal = shape === "stuck" ? isOld : `p % ${eventsPerWatch} = 0`;
    const type =
      shape === "stuck"
        ? `case when ${isOld} then 'call.success' else 'call.calling' end`
        : `case when p % 5 = 0 then 'call.success' else 'call.calling' end`;
    const account = (watch: string) => `case when ${watch} <= ${otherWatches} then ${other} else ${crowded} end`;
    const watch = `(p - 1) / ${eventsPerWatch} + 1`;
    await this.#client.query(`
      insert into calls (id, source_name, scope, call_sid, created_at, watched)
        select n, 'default', 0, 'OUT-many-' || n, 1, false from generate_series(1, ${deliveries / eventsPerWatch}) n;
      insert into watches (id, account_id, call_id, endpoint_id, metadata, status, created_at, expires_at, ended_at)
        select n, ${account("n")}, n, case when n <= ${otherWatches} then ${otherEndpoint} else ${crowdedEndpoint} end, '{}', ${watchStatus}, 1, ${startMs}, ${startMs}
        from generate_series(1, ${deliveries / eventsPerWatch}) n;
      insert into events (position, feed_order, id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at) overriding system value
        select p, p / 10, 'evt_' || md5(p::text), ${account(watch)}, ${watch}, 'OUT-many-' || (${watch}), ${type}, ${isTerminal}, 1 + (p - 1) % ${eventsPerWatch}, ${startMs} + p, '{}', ${startMs} + p
        from generate_series(1, ${deliveries}) p;
      insert into deliveries (id, account_id, event_position, endpoint_id, watch_id, sequence, terminal, status, next_attempt_at, due_at, created_at)
        select p, e.account_id, p, case when ${watch} <= ${otherWatches} then ${otherEndpoint} when ${isOld} then ${quietEndpoint} else ${crowdedEndpoint} end, e.watch_id, e.sequence, e.terminal,
          ${status}, case when ${status} = 'pending' then ${startMs} end, case when ${status} = 'pending' and e.sequence = 1 then ${startMs} end, 1
        from generate_series(1, ${deliveries}) p join events e on e.position = p;
      update deliveries set lease_owner = coalesce((select min(token) from instances), 1), lease_token = id where id > ${deliveries - 500} and status = 'pending';
      update feed_base set base = ${deliveries}`);
  }

  /** Every list of the API, and what pages of the dashboard link to, by a name. */
  lists(): readonly (readonly [name: string, read: () => Promise<unknown>])[] {
    const { store } = this.#world;
    return this.#accountIds.flatMap((accountId, index) => {
      const name = (list: string) => `${list} of the ${index === 0 ? "crowded" : "other"} account`;
      const page = { accountId, limit: 100, cursor: null };
      const deliveries = { ...page, endpointId: null, watchId: null, status: null };
      const watches = { ...page, status: null, callSid: null };
      const feed = { ...page, sinceMs: null, callSid: null, types: null, orTerminal: false };
      const endpointIds = (index === 0 ? [crowdedEndpoint, quietEndpoint] : [otherEndpoint]).map((key) => encodeId("ep", key));
      const watchId = encodeId("wch", index === 0 ? otherWatches + 1 : 1);
      const callSid = `OUT-many-${index === 0 ? otherWatches + 1 : 1}`;
      return [
        ["deliveries", () => store.listDeliveries(deliveries)],
        ["deliveries?watch_id=", () => store.listDeliveries({ ...deliveries, watchId })],
        ...deliveryStatuses.map(
          (status) => [`deliveries?status=${status}`, () => store.listDeliveries({ ...deliveries, status })] as const,
        ),
        ...endpointIds.flatMap((endpointId) => [
          ["deliveries?endpoint_id=", () => store.listDeliveries({ ...deliveries, endpointId })] as const,
          ...deliveryStatuses.map(
            (status) =>
              [`deliveries?endpoint_id=&status=${status}`, () => store.listDeliveries({ ...deliveries, endpointId, status })] as const,
          ),
        ]),
        ["watches", () => store.listWatches(watches)],
        ["watches?call_sid=", () => store.listWatches({ ...watches, callSid })],
        ...watchStatuses.map((status) => [`watches?status=${status}`, () => store.listWatches({ ...watches, status })] as const),
        ["events", () => store.readFeed(feed)],
        ["events?since=", () => store.readFeed({ ...feed, sinceMs: startMs + 100 })],
        ["events?call_sid=", () => store.readFeed({ ...feed, callSid })],
        ["events?type=terminal", () => store.readFeed({ ...feed, types: [], orTerminal: true })],
        ["events?type=call.success", () => store.readFeed({ ...feed, types: ["call.success"] })],
        ["events?type=call.busy", () => store.readFeed({ ...feed, types: ["call.busy"] })],
        ["hooks/sample", () => store.listRecentEvents({ ...page, types: null, orTerminal: false })],
        ["hooks/sample?event=terminal", () => store.listRecentEvents({ ...page, types: [], orTerminal: true })],
        ["hooks/sample?event=call.success", () => store.listRecentEvents({ ...page, types: ["call.success"], orTerminal: false })],
        ["watches/{id}/events", () => store.listWatchEvents({ ...page, watchId })],
        ["events/{id}", () => store.getEvent(accountId, "evt_c4ca4238a0b923820dcc509a6f75849b")],
        ["hooks", () => store.listHooks(page)],
      ].map(([list, read]) => [name(String(list)), read as () => Promise<unknown>] as const);
    });
  }
}

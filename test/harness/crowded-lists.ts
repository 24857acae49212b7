import { metadataHash } from "../../src/domain/calls/watch-metadata.ts";
import type { WatchEventData } from "../../src/domain/events/event.ts";
import { deliveryStatuses } from "../../src/domain/deliveries/delivery.ts";
import { watchStatuses } from "../../src/domain/calls/watch.ts";
import { decodeId, encodeId } from "../../src/domain/ids.ts";
import { startMs } from "./store-drafts.ts";
import type { StoreWorld } from "./store-drafts.ts";

/**
 * `ordinary`: nearly everything is delivered, and what is pending is new. `stuck`: nearly everything is pending, and what is
 * settled, terminal or of a rare type is the oldest.
 */
export type Shape = "ordinary" | "stuck";

/** A database to fill past its store. */
export type CrowdedDatabase = { readonly kind: "postgres" | "sqlite"; execute(sql: string): Promise<unknown> };

const eventsPerWatch = 5;
/** The endpoint that nearly all deliveries go to. */
export const crowdedUrl = "https://a.example/";
const [crowdedEndpoint, quietEndpoint, otherEndpoint] = [1, 2, 3];
/** Positions of other events begin here. */
const firstOwnPosition = 100_000_000;
/** Watches of the other account, which are the oldest. */
const otherWatches = 20;
/** Newest deliveries that are leased if they are pending. */
const leased = 500;

const data: WatchEventData = {
  watchId: null,
  callSid: "OUT-many-1",
  source: "default",
  status: "calling",
  previousStatus: null,
  reason: "",
  terminal: false,
  sequence: 1,
  observedAtMs: startMs,
  observedAfterMs: null,
  metadata: {},
  details: null,
};
const eventData = JSON.stringify(data);

/** An account that has nearly all rows of a database, and another one that has the oldest few. */
export class CrowdedLists {
  readonly #world: StoreWorld;
  readonly #database: CrowdedDatabase;
  readonly #accountIds: readonly [crowded: string, other: string];

  static async prepare(world: StoreWorld, database: CrowdedDatabase): Promise<CrowdedLists> {
    const accounts = await Promise.all([world.account(), world.account("other")]);
    const [crowded, other] = accounts.map(({ id }) => decodeId(id));
    await database.execute(`
      insert into hosts (id, account_id, origin) ${ofPostgres(database, "overriding system value")}
        values (1, ${crowded}, 'https://a.example:443'), (2, ${crowded}, 'https://b.example:443'), (3, ${other}, 'https://c.example:443');
      insert into endpoints (id, account_id, url, host_id, format, header_names, signatures, late, state, created_at)
        select h.id, h.account_id, replace(h.origin, ':443', '/'), h.id, 'flat', '[]', '[]', 'send', 'enabled', 1 from hosts h where h.id <= 3;
      insert into hooks (id, account_id, endpoint_id, created_at) select p.id, p.account_id, p.id, 1 from endpoints p where p.id <= 3;
      ${ofPostgres(database, `select setval(pg_get_serial_sequence('events', 'position'), ${firstOwnPosition}), setval(pg_get_serial_sequence('hosts', 'id'), 3)`)}`);
    return new CrowdedLists(world, database, [accounts[0].id, accounts[1].id]);
  }

  private constructor(world: StoreWorld, database: CrowdedDatabase, accountIds: readonly [string, string]) {
    this.#world = world;
    this.#database = database;
    this.#accountIds = accountIds;
  }

  /** Inserts `deliveries` events with one delivery each. Keys are small numbers, so that every other row is newer. */
  async fill(deliveries: number, shape: Shape): Promise<void> {
    const [crowded, other] = this.#accountIds.map(decodeId);
    const old = otherWatches * eventsPerWatch * 2;
    const isOld = `p <= ${old}`;
    const someStatus =
      "case p % 6 when 0 then 'delivered' when 1 then 'exhausted' when 2 then 'failed' when 3 then 'canceled' when 4 then 'superseded' else 'expired' end";
    const status =
      shape === "stuck"
        ? `case when ${isOld} then ${someStatus} else 'pending' end`
        : `case when p > ${deliveries - 100} then 'pending' when p % 50 = 0 then ${someStatus} else 'delivered' end`;
    const watchStatus =
      shape === "stuck"
        ? `case when n <= ${otherWatches * 2} then case n % 3 when 0 then 'completed' when 1 then 'ended' else 'canceled' end else 'active' end`
        : `case when n > ${deliveries / eventsPerWatch - 40} then 'active' when n % 50 = 0 then 'canceled' else 'completed' end`;
    const isTerminal = shape === "stuck" ? isOld : `p % ${eventsPerWatch} = 0`;
    const type =
      shape === "stuck"
        ? `case when ${isOld} then 'call.success' else 'call.calling' end`
        : `case when p % 5 = 0 then 'call.success' else 'call.calling' end`;
    const account = (watch: string) => `case when ${watch} <= ${otherWatches} then ${other} else ${crowded} end`;
    const watch = `(p - 1) / ${eventsPerWatch} + 1`;
    const only = (sql: string) => ofPostgres(this.#database, sql);
    const series = (name: string, count: number) => seriesOf(this.#database, name, count);
    await this.#database.execute(`
      insert into calls (id, source_name, scope, call_sid, created_at ${only(", watched")})
        select n, 'default', 0, 'OUT-many-' || n, 1 ${only(", false")} from ${series("n", deliveries / eventsPerWatch)};
      insert into watches (id, account_id, call_id, endpoint_id, metadata, status, created_at, expires_at, ended_at)
        select n, ${account("n")}, n, case when n <= ${otherWatches} then ${otherEndpoint} else ${crowdedEndpoint} end, '{"a":"1"}', ${watchStatus}, 1, ${startMs}, ${startMs}
        from ${series("n", deliveries / eventsPerWatch)};
      insert into watch_metadata (account_id, hash, watch_id) select account_id, ${metadataHash("a", "1")}, id from watches;
      insert into events (position, id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at ${only(", feed_order")}) ${only("overriding system value")}
        select p, 'evt_' || p, ${account(watch)}, ${watch}, 'OUT-many-' || (${watch}), ${type}, ${isTerminal}, 1 + (p - 1) % ${eventsPerWatch}, ${startMs} + p, '${eventData}', ${startMs} + p ${only(", p / 10")}
        from ${series("p", deliveries)};
      insert into deliveries (id, account_id, event_position, endpoint_id, watch_id, sequence, terminal, status, next_attempt_at, due_at, created_at)
        select p, e.account_id, p, case when ${watch} <= ${otherWatches} then ${otherEndpoint} when ${isOld} then ${quietEndpoint} else ${crowdedEndpoint} end, e.watch_id, e.sequence, e.terminal,
          ${status}, case when ${status} = 'pending' then ${startMs} end, case when ${status} = 'pending' and e.sequence = 1 then ${startMs} end, 1
        from ${series("p", deliveries)} join events e on e.position = p;
      update deliveries set lease_token = id ${only(", lease_owner = coalesce((select min(token) from instances), 1)")} where id > ${deliveries - leased} and status = 'pending';
      ${
        this.#database.kind === "postgres"
          ? `update feed_base set base = ${deliveries}`
          : `update endpoints set unleased = (select count(*) from deliveries where endpoint_id = endpoints.id and status = 'pending' and lease_token is null)`
      }`);
  }

  /** Id of the account that has nearly all rows. */
  get crowdedId(): string {
    return this.#accountIds[0];
  }

  /** Every list of the API, and what pages of the dashboard link to, by a name. */
  lists(): readonly (readonly [name: string, read: () => Promise<unknown>])[] {
    const { store } = this.#world;
    return this.#accountIds.flatMap((accountId, index) => {
      const name = (list: string) => `${list} of the ${index === 0 ? "crowded" : "other"} account`;
      const newest = { accountId, limit: 100 };
      const page = { ...newest, cursor: null };
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
        ["watches?metadata.a=", () => store.listWatchesByMetadata({ ...watches, metadata: { a: "1" } })],
        ["watches?metadata.a=&call_sid=", () => store.listWatchesByMetadata({ ...watches, callSid, metadata: { a: "1" } })],
        ...watchStatuses.map((status) => [`watches?status=${status}`, () => store.listWatches({ ...watches, status })] as const),
        ["events", () => store.readFeed(feed)],
        ["events?since=", () => store.readFeed({ ...feed, sinceMs: startMs + 100 })],
        ["events?call_sid=", () => store.readFeed({ ...feed, callSid })],
        ["events?type=terminal", () => store.readFeed({ ...feed, types: [], orTerminal: true })],
        ["events?type=call.success", () => store.readFeed({ ...feed, types: ["call.success"] })],
        ["events?type=call.busy", () => store.readFeed({ ...feed, types: ["call.busy"] })],
        ["hooks/sample", () => store.listRecentEvents({ ...newest, types: null, orTerminal: false })],
        ["hooks/sample?event=terminal", () => store.listRecentEvents({ ...newest, types: [], orTerminal: true })],
        ["hooks/sample?event=call.success", () => store.listRecentEvents({ ...newest, types: ["call.success"], orTerminal: false })],
        ["watches/{id}/events", () => store.listWatchEvents({ ...page, watchId })],
        ["events/{id}", () => store.getEvent(accountId, "evt_1")],
        ["hooks", () => store.listHooks(page)],
        ["endpoints", () => store.listEndpoints(page)],
      ].map(([list, read]) => [name(String(list)), read as () => Promise<unknown>] as const);
    });
  }
}

/** Returns rows with the numbers from 1 to `count` in a column of this name. */
export function seriesOf({ kind }: CrowdedDatabase, name: string, count: number): string {
  if (kind === "postgres") return `generate_series(1, ${count}) ${name}`;
  return `(with recursive s (n) as (select 1 union all select n + 1 from s where n < ${count}) select n as ${name} from s)`;
}

function ofPostgres({ kind }: CrowdedDatabase, sql: string): string {
  return kind === "postgres" ? sql : "";
}

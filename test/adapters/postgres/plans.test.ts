import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { planSettings } from "../../../src/adapters/postgres/connection/session.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { answered, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { live } from "../../harness/store-life.ts";

type Plan = {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly Filter?: string;
  readonly Plans?: readonly Plan[];
};

let database: TestPostgres;
let instance: TestInstance;
let client: pg.Client;

beforeEach(async () => {
  database = await TestPostgres.create();
  // One connection prepares all statements, so it can list them.
  instance = await database.openAlone(testPolicy, { poolSize: 1 });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(planSettings);
});
afterEach(async () => {
  await client.end();
  await instance.store.close();
  await database.dispose();
});

async function statements(): Promise<readonly string[]> {
  return (await instance.db.all("select statement from pg_prepared_statements")).map((row) => String(row["statement"]));
}

async function nodesOf(sql: string): Promise<readonly Plan[]> {
  const { rows } = await client.query<{ "QUERY PLAN": readonly [{ readonly Plan: Plan }] }>(`explain (generic_plan, format json) ${sql}`);
  const flat = (plan: Plan): readonly Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];
  return rows.flatMap((row) => flat(row["QUERY PLAN"][0].Plan));
}

/** Tables that stay small, which a statement may scan. */
const small =
  /^(accounts|instances|feed_base|counts|count_changes|endpoint_attempt_changes|account_activity_changes|schema_migrations|api_keys|sources|marks|feed_epochs)$/;
/** Intended scans: of the leases, from the ends of the events, to the next due host, and after a step of the clock. */
const intendedScans = [
  /from \(select feed_order from events/,
  // Reads the first and the last entry of the index.
  /^with recursive search .*select min\(position\), max\(position\)/,
  /select min\(due_at\) from \(select min\(next_due_at\)/,
  /^select 1 from (endpoints|hosts) order by id for no key update$/,
  /= next_(due|attempt)_at - \$1/,
  /^select position from events order by position desc limit 1$/,
  // Reads the first entry of each index.
  /^select key_id from \(with recursive used/,
  // Links live for a week at most, so all accounts together have few.
  /from portal_links where account_id = \$1 order by id desc limit/,
  // Statements of the set-up of these tests.
  /^update calls set owner_token = \$1 where watched$/,
];

/** Returns the parts of a plan that read more of a table than the statement is about. */
async function scansOf(sql: string): Promise<readonly string[]> {
  const text = sql.replaceAll(/\s+/g, " ").trim();
  if (!/^(select|with|update|delete|insert)/.test(text) || /pg_prepared_statements/.test(text)) return [];
  if (intendedScans.some((intended) => intended.test(text))) return [];
  const narrow = /(call_id|watch_id|endpoint_id|call_sid) (=|in)/.test(text.slice(text.lastIndexOf(" where ")));
  return (await nodesOf(sql))
    .filter((node) => {
      const table = node["Relation Name"] ?? "";
      const index = node["Index Name"] ?? "";
      // Few calls have a mark, few deliveries are leased, few have a pending manual retry, and few endpoints and accounts are paused or disabled. A bitmap scan names the index alone.
      if (
        small.test(table) ||
        /^(deliveries_leased|deliveries_retried|accounts_by_key|accounts_disabled|counts_by_what|endpoints_not_enabled|audit_counts_full|calls_marked)$/.test(
          index,
        )
      )
        return false;
      const isScan = node["Node Type"].endsWith("Scan") && (node["Index Name"] !== undefined || node["Node Type"] === "Seq Scan");
      if (isScan && node["Index Cond"] === undefined) return true;
      return narrow && /(watches|deliveries)_by_status|events_by_account/.test(index);
    })
    .map((node) => `${node["Node Type"]} ${node["Index Name"] ?? node["Relation Name"] ?? ""} of ${text}`);
}

const account = (n: string) => `1 + ${n} % 20`;

/** Fills accounts with many rows and updates the statistics. Keys are numbers below those of the rows that the tests created. */
async function fill(): Promise<void> {
  await client.query(`
    insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at)
      select n, 'name ' || n, true, '', '', 1 from generate_series(1, 20) n;
    insert into api_keys (id, account_id, name, fingerprint, created_at) select n, 1 + n % 20, 'key', 'many ' || n, 1 from generate_series(1, 2000) n;
    insert into portal_links (id, account_id, key_id, can, token_hash, created_at, expires_at)
      select n, 1 + n % 20, n, 'look', 'many ' || n, 1, n from generate_series(1, 2000) n;
    insert into ended_sessions (hash, key_id, expires_at) select 'many ' || n, n % 20, n from generate_series(1, 5000) n;
    insert into audit (id, account_id, at, action, target_kind, target_id, actor_kind, detail)
      select n, 1 + n % 20, n, 'hook.created', 'hook', 'hk', 'key', '{}' from generate_series(1, 5000) n;
    insert into stored_answers (id, account_id, request_hash, sealed, expires_at) select 'many ' || n, 1 + n % 20, '', '', n from generate_series(1, 5000) n;
    insert into stored_answer_watches (watch_id, answer_id) select n, 'many ' || n from generate_series(1, 5000) n;
    insert into hosts (account_id, origin) select ${account("n")}, 'https://h' || n || '.example:443' from generate_series(1, 2000) n;
    insert into endpoints (id, account_id, url, host_id, format, header_names, signatures, late, state, created_at)
      select h.id, h.account_id, h.origin, h.id, 'flat', '[]', '[]', 'send', 'enabled', 1 from hosts h where h.account_id <= 20;
    insert into secrets (id, account_id, sealed, fingerprint, created_at) select p.id, p.account_id, '', p.id::text, 1 from endpoints p where p.account_id <= 20;
    insert into endpoint_secrets (endpoint_id, secret_id) select p.id, p.id from endpoints p where p.account_id <= 20;
    insert into hooks (id, account_id, endpoint_id, created_at) select p.id, p.account_id, p.id, 1 from endpoints p where p.account_id <= 20;
    insert into calls (id, source_name, scope, call_sid, created_at) select n, 'default', 0, 'OUT-many-' || n, 1 from generate_series(1, 5000) n;
    insert into watches (id, account_id, call_id, endpoint_id, metadata, status, created_at, expires_at)
      select n, ${account("n")}, n, (select id from endpoints p where p.account_id = ${account("n")} order by id offset n % 90 limit 1), '{}', 'active', 1, 1
      from generate_series(1, 5000) n;
    insert into watch_metadata (account_id, hash, watch_id) select account_id, id % 3, id from watches where account_id <= 20;
    insert into events (feed_order, id, account_id, watch_id, type, terminal, sequence, timestamp, data, created_at)
      select n, 'evt_' || n, ${account("n")}, n, 'call.queued', false, 1, 1, '{}', 1 from generate_series(1, 5000) n;
    insert into deliveries (id, account_id, event_position, endpoint_id, watch_id, sequence, terminal, status, next_attempt_at, due_at, created_at)
      select w.id, e.account_id, e.position, w.endpoint_id, w.id, 1, false, case when e.position % 2 = 0 then 'pending' else 'delivered' end, case when e.position % 2 = 0 then 1 end, 1, 1
      from events e join watches w on w.id = e.watch_id where w.account_id <= 20;
    analyze`);
}

describe("query plans", () => {
  it.each(["empty", "full"])(
    "of %s tables: no statement scans a table, nor an account for rows of one watch, call or endpoint",
    async (state) => {
      await live(new StoreWorld(instance.store));
      if (state === "full") await fill();
      const prepared = await statements();
      expect(prepared.length).toBeGreaterThan(100);
      const scans = [];
      for (const sql of prepared) scans.push(...(await scansOf(sql)));
      expect(scans).toEqual([]);
    },
  );

  it("of a search by metadata: it enters the index by account and pair", async () => {
    await live(new StoreWorld(instance.store));
    await fill();
    const searches = (await statements()).filter((sql) => sql.startsWith("select watch_id from watch_metadata"));
    expect(searches).toHaveLength(1);
    for (const sql of searches) {
      const nodes = (await nodesOf(sql)).filter((node) => node["Index Name"] !== undefined);
      expect(nodes.map((node) => [node["Index Name"], node["Index Cond"] !== undefined])).toEqual([["watch_metadata_pkey", true]]);
    }
  });

  it("of portions of a 410: each enters the index of the endpoint", async () => {
    const marked = await database.openAlone({ ...testPolicy, marks: { threshold: 1, portion: 1 } }, { poolSize: 1 });
    try {
      const world = new StoreWorld(marked.store);
      for (let n = 0; n < 3; n++) await world.watch(`OUT-${n}`);
      const [job] = (await world.see("OUT-0", "queued")).jobs;
      if (job === undefined) throw new Error("the watch has an endpoint");
      await world.record(job, answered(410));
      const sweep = { accountId: (await world.account()).id, nowMs: world.nowMs };
      while ((await marked.store.sweepMark(sweep)).kind === "swept");
      await fill();
      const prepared = (await marked.db.all("select statement from pg_prepared_statements")).map((row) => String(row["statement"]));
      const portions = prepared.filter((sql) => sql.startsWith("select id, call_id from watches"));
      expect(portions).toHaveLength(1);
      for (const sql of portions)
        expect((await nodesOf(sql)).map((node) => node["Index Name"]).filter((name) => name !== undefined)).toEqual([
          "watches_by_endpoint",
        ]);
      const scans = [];
      for (const sql of prepared) scans.push(...(await scansOf(sql)));
      expect(scans).toEqual([]);
    } finally {
      await marked.store.close();
    }
  });
});

import { randomUUID } from "node:crypto";
import type pg from "pg";
import { inject } from "vitest";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import type { DatabaseOptions } from "../../../src/adapters/postgres/connection/database.ts";
import { connectClient, planSettings, statementOf } from "../../../src/adapters/postgres/connection/session.ts";
import { storedCounters } from "../../../src/adapters/postgres/retention/recount.ts";
import type { SqlValue } from "../../../src/adapters/sql/queries.ts";
import { correctionOf, Recount } from "../../../src/adapters/sql/retention/recount.ts";
import type { Row } from "../../../src/adapters/sql/rows.ts";
import type { InstanceIdentity } from "../../../src/adapters/postgres/connection/queries.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { releaseLeasesOf } from "../../../src/adapters/postgres/deliveries/claims.ts";
import type { DeliveryPolicy } from "../../../src/domain/deliveries/retry-policy.ts";
import type { CounterCorrection, ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { keptSessionsOf } from "./kept-sessions.ts";
import { asAdministrator, databaseUrl } from "./postgres-server.ts";
import { startMs } from "../store-drafts.ts";

/** A database of its own, cloned from the migrated template, for one test. */
export class TestPostgres {
  readonly url: string;
  readonly #serverUrl: string;
  readonly #name: string;
  #instances: TestInstance[] = [];
  #cleaner: pg.Client | null = null;

  static async create(): Promise<TestPostgres> {
    const serverUrl = inject("postgresUrl");
    const name = `ringback_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
    await asAdministrator(serverUrl, `create database ${name} template ${inject("postgresTemplate")} strategy file_copy`);
    return new TestPostgres(serverUrl, name);
  }

  private constructor(serverUrl: string, name: string) {
    this.#serverUrl = serverUrl;
    this.#name = name;
    this.url = databaseUrl(serverUrl, name);
  }

  /** Ends every connection to it first. */
  async dispose(): Promise<void> {
    await this.#cleaner?.end();
    await asAdministrator(this.#serverUrl, `drop database ${this.#name} with (force)`);
  }

  /**
   * As it was when it was made, for another test: a tenth of the time that a new one takes. What a test did to the tables
   * themselves stays. The connection is kept, because the first statements of a connection read the catalogue.
   */
  async empty(): Promise<void> {
    const client = await this.#connectCleaner();
    await client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and pid <> all($1::int[])",
      [keptSessionsOf(this.url)],
    );
    // Without triggers: neither are references checked, nor is counted what goes.
    const { rows } = await client.query<{ name: string }>(
      `select relname as name from pg_class
       where relkind = 'r' and relnamespace = 'public'::regnamespace and relname not in ('schema_migrations', 'feed_base', 'command_line_keys')`,
    );
    await client.query(`${rows.map(({ name }) => `delete from ${name};`).join("")}
      update feed_base set base = 0, purged_to = 0; update command_line_keys set newest = -1;
      select setval(quote_ident(sequencename), start_value, false) from pg_sequences`);
  }

  /** Counts as the store does, over the kept connection; the corrections that a recount would make. */
  async recount(): Promise<readonly CounterCorrection[]> {
    const client = await this.#connectCleaner();
    const all = async (sql: string, ...values: readonly SqlValue[]) => (await client.query<Row>(statementOf(sql, values))).rows;
    const get = async (sql: string, ...values: readonly SqlValue[]) => (await all(sql, ...values))[0];
    const recount = new Recount(storedCounters);
    await client.query("begin isolation level repeatable read read only");
    try {
      for (;;) {
        const differences = await recount.advance({ all, get, run }, 1_000_000);
        if (differences !== null) return differences.map(correctionOf);
      }
    } finally {
      await client.query("rollback");
    }
  }

  async #connectCleaner(): Promise<pg.Client> {
    if (this.#cleaner !== null) return this.#cleaner;
    const client = await connectClient(this.url, "cleaner");
    await client.query(`${planSettings}; set session_replication_role = replica`);
    return (this.#cleaner = client);
  }

  /** The only instance: it takes what those before it had. */
  async openAlone(policy: DeliveryPolicy, given: Partial<DatabaseOptions> = {}): Promise<TestInstance> {
    const instance = this.#open(policy, given);
    const { db, owner } = instance;
    await db.beginEpoch();
    await evict(db, "true");
    await join(instance);
    await db.run("update calls set owner_token = $1 where watched", owner.token);
    this.#instances = [instance];
    return instance;
  }

  /** Opens one more instance, which owns nothing yet. Each has peers. */
  async openBeside(policy: DeliveryPolicy, given: Partial<DatabaseOptions> = {}): Promise<TestInstance> {
    const instance = this.#open(policy, given);
    await instance.db.beginEpoch();
    await join(instance);
    this.#instances.push(instance);
    for (const { owner } of this.#instances) owner.hasPeers = true;
    return instance;
  }

  /** One that is no instance. */
  openReader(policy: DeliveryPolicy): TestInstance {
    return this.#open(policy, {});
  }

  /** Evicts an instance from another connection; it keeps its token, unaware. */
  async evict({ owner, db }: TestInstance): Promise<void> {
    await evict(db, `token = ${owner.token}`);
  }

  #open(policy: DeliveryPolicy, given: Partial<DatabaseOptions>): TestInstance {
    const owner = { token: null as number | null, hasPeers: false };
    const db = new Database({ connectionString: this.url, policy, owner, ...given });
    return { store: createPostgresStore(db), db, owner };
  }
}

export type TestInstance = { readonly store: ServiceStore; readonly db: Database; readonly owner: InstanceIdentity };

async function join({ db, owner }: TestInstance): Promise<void> {
  const row = await db.get(
    `insert into instances (slot, lease_until, version)
     select min(s.slot), clock_timestamp() + interval '1 hour', 'test' from generate_series(1, 63) as s(slot)
     where not exists (select 1 from instances i where i.slot = s.slot) returning token`,
  );
  owner.token = row?.["token"] as number;
}

/** What becomes of instances that are gone. */
async function evict(db: Database, condition: string): Promise<void> {
  await db.transaction(async (tx) => {
    const gone = await tx.all(`delete from instances where ${condition} returning token`);
    await releaseLeasesOf(
      tx,
      gone.map((row) => row["token"] as number),
      startMs,
    );
  });
}

function run(): Promise<never> {
  return Promise.reject(new Error("a recount only reads"));
}

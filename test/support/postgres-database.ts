import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import { Database } from "../../src/adapters/postgres/database.ts";
import type { DatabaseOptions } from "../../src/adapters/postgres/database.ts";
import { createPostgresStore } from "../../src/adapters/postgres/store.ts";
import { freeLeasesOf } from "../../src/adapters/postgres/tables/due.ts";
import type { DeliveryPolicy } from "../../src/domain/retry-policy.ts";
import type { ServiceStore } from "../../src/ports/service-store.ts";
import { asAdministrator, databaseUrl } from "./postgres-server.ts";
import { startMs } from "./store-drafts.ts";

/** A database of its own, cloned from the migrated template, for one test. */
export class TestPostgres {
  readonly url: string;
  readonly #serverUrl: string;
  readonly #name: string;

  static async create(): Promise<TestPostgres> {
    const serverUrl = inject("postgresUrl");
    const name = `ringback_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
    await asAdministrator(serverUrl, `create database ${name} template ${inject("postgresTemplate")}`);
    return new TestPostgres(serverUrl, name);
  }

  private constructor(serverUrl: string, name: string) {
    this.#serverUrl = serverUrl;
    this.#name = name;
    this.url = databaseUrl(serverUrl, name);
  }

  /** Ends every connection to it first. */
  async dispose(): Promise<void> {
    await asAdministrator(this.#serverUrl, `drop database ${this.#name} with (force)`);
  }

  /** A store as one instance has it; `alone` takes what instances before it had. */
  async open(policy: DeliveryPolicy, alone: boolean, given: Partial<DatabaseOptions> = {}): Promise<TestInstance> {
    const owner = { token: null as number | null, hasPeers: !alone };
    const db = new Database({ connectionString: this.url, policy, owner, ...given });
    if (alone) await evictAll(db);
    const row = await db.get(
      "insert into instances (lease_until, version) values (clock_timestamp() + interval '1 hour', 'test') returning token",
    );
    owner.token = row?.["token"] as number;
    if (alone) await db.run("update calls set owner_token = $1 where watched", owner.token);
    return { store: createPostgresStore(db), db, owner };
  }
}

export type TestInstance = {
  readonly store: ServiceStore;
  readonly db: Database;
  readonly owner: { token: number | null; hasPeers: boolean };
};

/** What becomes of instances that are gone. */
export async function evictAll(db: Database): Promise<void> {
  await db.transaction(async (tx) => {
    const gone = await tx.all("delete from instances returning token");
    await freeLeasesOf(
      tx,
      gone.map((row) => row["token"] as number),
      startMs,
    );
  });
}

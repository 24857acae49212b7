import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
import { readMigrations } from "../../../src/adapters/sql/migrations.ts";
import { StartupError } from "../../../src/domain/errors.ts";
import { asAdministrator, databaseUrl } from "../../harness/postgres/postgres-server.ts";

let name: string;
let url: string;

beforeEach(async () => {
  name = `ringback_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
  await asAdministrator(inject("postgresUrl"), `create database ${name}`);
  url = databaseUrl(inject("postgresUrl"), name);
});
afterEach(() => asAdministrator(inject("postgresUrl"), `drop database ${name} with (force)`));

async function run(sql: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe("migrations", () => {
  it("run once when several instances start together", async () => {
    await Promise.all(Array.from({ length: 5 }, () => migrate(url)));
    const rows = await run("select number, name from schema_migrations order by number");
    expect(rows[0]).toEqual({ number: 1, name: "0001-schema.sql" });
    await migrate(url);
    expect(await run("select number, name from schema_migrations order by number")).toEqual(rows);
  });

  it("apply what a database lacks, in order, and keep its rows", async () => {
    await migrate(url);
    await run("insert into hash_keys (name, sealed) values ('kept', '\\x01')");
    const folder = new URL("../../../src/adapters/postgres/migrations/", import.meta.url);
    const later = [
      { name: "9998-add.sql", sql: "alter table hash_keys add column note text not null default 'none'", checksum: "a" },
      { name: "9999-use.sql", sql: "update hash_keys set note = 'set'", checksum: "b" },
    ];
    expect(await migrate(url, [...readMigrations(folder), ...later])).toBe(2);
    expect(await run("select name, note from hash_keys")).toEqual([{ name: "kept", note: "set" }]);
    await expect(migrate(url)).rejects.toThrow("newer than this program (it has migration 9999-use.sql)");
  });

  it("refuse a database of the schema with text ids by one line", async () => {
    await run(`create table schema_migrations (number integer primary key, name text not null, checksum text not null);
      insert into schema_migrations values (1, '0001-initial.sql', 'x'), (2, '0002-instances.sql', 'y')`);
    const refused = await migrate(url).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StartupError);
    expect(String(refused)).toBe(
      "StartupError: migration 0001-initial.sql of the database differs from that of this program (0001-schema.sql): start the version that created the database, or begin with an empty one",
    );
  });

  it("reject a newer database", async () => {
    await migrate(url);
    await run("insert into schema_migrations select max(number) + 1, '9999-later.sql', 'x' from schema_migrations");
    await expect(migrate(url)).rejects.toThrow("newer than this program (it has migration 9999-later.sql)");
  });

  it("reject a database with other migrations", async () => {
    await migrate(url);
    await run("update schema_migrations set checksum = 'x' where number = 1");
    await expect(migrate(url)).rejects.toThrow("migration 0001-schema.sql of the database differs");
  });
});

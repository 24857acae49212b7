import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
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
    expect(rows[0]).toEqual({ number: 1, name: "0001-initial.sql" });
    await migrate(url);
    expect(await run("select number, name from schema_migrations order by number")).toEqual(rows);
  });

  it("reject a newer database", async () => {
    await migrate(url);
    await run("insert into schema_migrations select max(number) + 1, '9999-later.sql', 'x' from schema_migrations");
    await expect(migrate(url)).rejects.toThrow("newer than this program (it has migration 9999-later.sql)");
  });

  it("reject a database with other migrations", async () => {
    await migrate(url);
    await run("update schema_migrations set checksum = 'x' where number = 1");
    await expect(migrate(url)).rejects.toThrow("migration 0001-initial.sql of the database differs");
  });
});

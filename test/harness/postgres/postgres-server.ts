import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import pg from "pg";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";

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
 * One real server for the whole run: `TEST_DATABASE_URL`, else one of its own. That one does not wait for the disk: no
 * test cuts the power, and every test makes a database and drops it, which takes three times as long with it. A run
 * without a server fails: nothing about Postgres is skipped in silence.
 */
export async function setup(project: Project): Promise<() => Promise<void>> {
  const given = process.env["TEST_DATABASE_URL"];
  const server = given ? { url: given, stop: async () => undefined } : await startEmbedded({ syncs: false });
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

/** A server of one's own, in a process that ends with this one. `pid` is that process, which started the server's. */
export async function startEmbedded({ syncs = true } = {}): Promise<{ readonly url: string; readonly pid: number; stop(): Promise<void> }> {
  const program = new URL("./embedded-postgres-process.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, syncs ? [program] : [program, "--no-sync"]);
  const exited = once(child, "exit");
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const lines = createInterface({ input: child.stdout });
  const url = await Promise.race([once(lines, "line").then(([line]) => String(line)), exited.then(() => null)]);
  if (url === null) throw new Error(`the Postgres server of the tests does not start: ${errors}`);
  return {
    url,
    pid: child.pid ?? 0,
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}

import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:tls";
import { createServer as createPlainServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";
import { hasPgbouncer, startPgbouncer } from "../harness/postgres/pgbouncer.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { asAdministrator, databaseUrl } from "../harness/postgres/postgres-server.ts";
import { selfSigned } from "../harness/receivers/self-signed.ts";
import { oneLine, runToEnd } from "../harness/service/ended-service.ts";
import { apiKey, encryptionKey, openService, reasonOfRefusal } from "../harness/service/environment.ts";
import { silentLogger } from "../harness/silent-telemetry.ts";

const environment = { RINGBACK_API_KEY: apiKey, RINGBACK_ENCRYPTION_KEY: encryptionKey };

/** Expects the start to be refused with one line that has all of `words`. */
async function expectRefused(url: string, words: readonly string[]): Promise<void> {
  const reason = await reasonOfRefusal({ ...environment, DATABASE_URL: url });
  for (const word of words) expect(reason).toContain(word);
}

async function expectStarted(url: string): Promise<void> {
  const service = await openService({ ...environment, DATABASE_URL: url });
  await service.stop();
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function ownDatabase(): Promise<TestPostgres> {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  return database;
}

describe("TLS", () => {
  test("a certificate that does not verify is 78, one of a named CA is accepted, a missing or wrong file of the CA is 78", async () => {
    const identity = selfSigned("localhost");
    const postgres = await OwnPostgres.start({ tls: identity });
    const folder = await mkdtemp(join(tmpdir(), "ringback-ca-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const [authority, noPem] = [join(folder, "ca.pem"), join(folder, "no.pem")];
    await writeFile(authority, identity.cert);
    await writeFile(noPem, "-----BEGIN CERTIFICATE-----\nnothing\n");
    const byName = `postgres://ringback:ringback@localhost:${postgres.port}/postgres?sslmode=verify-full`;
    await expectRefused(byName, ["certificate that does not verify", "SELF_SIGNED", "NODE_EXTRA_CA_CERTS", "sslrootcert"]);
    // Node reads the variable once, at the start of a process.
    const trusting = { ...environment, NODE_EXTRA_CA_CERTS: authority };
    const misnamed = await runToEnd({ ...trusting, DATABASE_URL: byName.replace("localhost", "127.0.0.1") });
    expect(misnamed).toMatchObject({ code: 78, stderr: expect.stringMatching(oneLine) as string });
    for (const word of ["certificate that does not verify", "host that is in the certificate"]) expect(misnamed.stderr).toContain(word);
    await expectRefused(`${byName}&sslrootcert=${folder}/none.pem`, ["/none.pem", "ENOENT", "sslrootcert"]);
    await expectRefused(`${byName}&sslrootcert=${noPem}`, ["certificate that does not verify", "sslrootcert"]);
    await expectRefused(`${byName}&sslrootcert=${authority}&sslcert=${noPem}&sslkey=${noPem}`, ["PEM", "sslcert"]);
    await expectStarted(`${byName}&sslrootcert=${authority}`);
    const trusted = await runToEnd(
      { ...trusting, DATABASE_URL: byName },
      { onOutput: (all, stop) => (all.includes("service.started") ? stop("SIGTERM") : undefined) },
    );
    expect(trusted).toMatchObject({ code: 0, stderr: "" });
    expect(trusted.stdout).toContain("service.started");
  }, 60_000);
});

describe("a port of another protocol", () => {
  test.each(["", "?sslmode=verify-full"])("HTTP is 78, with the URL's query %j", async (query) => {
    const port = await listening(createServer((_, answer) => answer.end()));
    await expectRefused(`postgres://u:p@127.0.0.1:${port}/x${query}`, ["is not Postgres", "HTTP", "port of Postgres"]);
  });

  test("HTTPS is 78", async () => {
    const port = await listening(createTlsServer(selfSigned("localhost")));
    await expectRefused(`postgres://u:p@127.0.0.1:${port}/x`, ["is not Postgres", "TLS"]);
  });

  test("SSH is 78", async () => {
    const port = await listening(createPlainServer((socket) => socket.on("error", () => undefined).write("SSH-2.0-OpenSSH_9.2\r\n")));
    await expectRefused(`postgres://u:p@127.0.0.1:${port}/x`, ["is not Postgres", "SSH"]);
  });

  test("a port that says nothing may be a server that comes back, and is waited for", async () => {
    const port = await listening(createPlainServer((socket) => void socket.on("error", () => undefined).end()));
    const stopping = new AbortController();
    const said: string[] = [];
    const warn = (_: unknown, message: string) => {
      said.push(message);
      stopping.abort();
    };
    const url = `postgres://u:p@127.0.0.1:${port}/x`;
    const start = openService({ ...environment, DATABASE_URL: url }, { logger: { ...silentLogger, warn }, signal: stopping.signal });
    await expect(start).rejects.toThrow(expect.objectContaining({ name: "AbortError" }) as Error);
    expect(said).toEqual(["store.unreachable"]);
  });
});

describe("a database, role or search_path", () => {
  test("another encoding than UTF8 is 78", async () => {
    const name = `latin_${process.pid}`;
    await asAdministrator(inject("postgresUrl"), `create database ${name} encoding 'LATIN1' locale 'C' template template0`);
    onTestFinished(() => asAdministrator(inject("postgresUrl"), `drop database ${name} with (force)`));
    await expectRefused(databaseUrl(inject("postgresUrl"), name), ["encoding LATIN1", "encoding 'UTF8'"]);
  });

  test("a role without CREATE is 78, with or without the tables", async () => {
    const { url } = await ownDatabase();
    const role = `poor_${process.pid}`;
    await asAdministrator(inject("postgresUrl"), `create role ${role} login password 'poor'`);
    onTestFinished(() => asAdministrator(inject("postgresUrl"), `drop role ${role}`));
    const asRole = new URL(url);
    [asRole.username, asRole.password] = [role, "poor"];
    await expectRefused(asRole.href, [`role ${role}`, "grant create on schema public"]);
  });

  test("an empty search_path, and one of schemas that do not exist, is 78", async () => {
    const { url } = await ownDatabase();
    for (const path of ["%20", "nowhere"])
      await expectRefused(`${url}?options=-csearch_path%3D${path === "%20" ? "%22%22" : path}`, [
        "search_path",
        "set search_path = public",
      ]);
  });
});

describe.runIf(hasPgbouncer)("a pooler", () => {
  test.each(["transaction", "statement"] as const)("in %s mode is 78", async (mode) => {
    const { url } = await ownDatabase();
    await expectRefused(await startPgbouncer(url, mode), [`pooler in ${mode} mode`, "session mode"]);
  });

  test("in transaction mode with one server connection is 78", async () => {
    const { url } = await ownDatabase();
    await expectRefused(await startPgbouncer(url, "transaction", 1), ["pooler in transaction mode"]);
  });

  test("that has no such database is 78", async () => {
    const { url } = await ownDatabase();
    const pooled = new URL(await startPgbouncer(url, "session"));
    pooled.pathname = "/nope";
    await expectRefused(pooled.href, ['database "nope" does not exist']);
  });

  test("in session mode is accepted", async () => {
    const { url } = await ownDatabase();
    await expectStarted(await startPgbouncer(url, "session", 40));
  });
});

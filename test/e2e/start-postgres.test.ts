import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, inject, onTestFinished, test } from "vitest";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { oneLine, runToEnd } from "../harness/service/ended-service.ts";
import { apiKey, encryptionKey, reasonOfRefusal } from "../harness/service/environment.ts";
import { runCommand } from "../harness/service/service.ts";
import { silentLogger } from "../harness/silent-telemetry.ts";

/** An environment in which a service would start if the database let it. */
const shared = (databaseUrl: string) => ({
  DATABASE_URL: databaseUrl,
  RINGBACK_API_KEY: apiKey,
  RINGBACK_ENCRYPTION_KEY: encryptionKey,
});

test("a server that wants a password, and a URL without one: one line, exit code 78; a command says the same", async () => {
  const postgres = await OwnPostgres.start({ authMethod: "scram-sha-256" });
  const url = `postgres://ringback@127.0.0.1:${postgres.port}/postgres`;
  const why = "the database of DATABASE_URL requires a password, and the URL has none";
  expect(await runToEnd(shared(url))).toMatchObject({ code: 78, stderr: `ringback: DATABASE_URL: ${why}\n` });
  expect(await runCommand(["account", "create", "acme"], { DATABASE_URL: url })).toEqual({
    code: 1,
    out: "",
    error: `ringback account create: ${why}`,
  });
});

test("a server without TLS, and a URL with sslmode=prefer: one line and nothing beside it, exit code 78", async () => {
  const { code, stderr } = await runToEnd(shared(`${inject("postgresUrl")}?sslmode=prefer`));
  expect(stderr).toMatch(oneLine);
  expect(stderr).toContain("does not support TLS");
  expect(code).toBe(78);
});

test.each(["require", "verify-ca", "verify-full"])(
  "a server without TLS is refused with sslmode=%s, and without a warning",
  async (mode) => {
    const warnings: Error[] = [];
    const keep = (warning: Error) => void warnings.push(warning);
    process.on("warning", keep);
    onTestFinished(() => void process.off("warning", keep));
    expect(await reasonOfRefusal(shared(`${inject("postgresUrl")}?sslmode=${mode}`))).toContain("does not support TLS");
    expect(warnings).toEqual([]);
  },
);

test.each([
  ["PORT", "PORT, HOST"],
  ["METRICS_PORT", "METRICS_PORT, METRICS_HOST"],
])("with a %s that another server listens on it is refused before it joins the other instances", async (name, named) => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const said: string[] = [];
  const info = (_: unknown, message: string) => void said.push(message);
  const logger = { ...silentLogger, info };
  const reason = await reasonOfRefusal({ ...shared(database.url), [name]: String(port) }, { logger });
  expect(reason).toBe(`${named}: cannot listen on 127.0.0.1:${port}: EADDRINUSE`);
  expect(said).not.toContain("instance.joined");
});

import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, inject, onTestFinished, test } from "vitest";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { oneLine, runToEnd } from "../harness/service/ended-service.ts";
import { apiKey, encryptionKey } from "../harness/service/environment.ts";
import { runCommand } from "../harness/service/service.ts";

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

test.each(["require", "prefer", "verify-ca", "verify-full"])(
  "a server without TLS, and a URL with sslmode=%s: one line and nothing beside it, exit code 78",
  async (mode) => {
    const { code, stderr } = await runToEnd(shared(`${inject("postgresUrl")}?sslmode=${mode}`));
    expect(stderr).toMatch(oneLine);
    expect(stderr).toContain("does not support TLS");
    expect(code).toBe(78);
  },
);

test.each([
  ["PORT", "PORT, HOST"],
  ["METRICS_PORT", "METRICS_PORT, METRICS_HOST"],
])("with a %s that another server listens on it ends with 78 before it joins the other instances", async (name, named) => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { code, stderr, stdout } = await runToEnd({ ...shared(database.url), [name]: String(port) });
  expect({ code, stderr }).toEqual({ code: 78, stderr: `ringback: ${named}: cannot listen on 127.0.0.1:${port}: EADDRINUSE\n` });
  expect(stdout).not.toContain("instance.joined");
});

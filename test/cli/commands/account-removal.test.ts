import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../../src/cli/receiver/receiver.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../../harness/service/service.ts";

async function databaseUrl(kind: "sqlite" | "postgres"): Promise<string> {
  if (kind === "sqlite") return `sqlite:${join(await temporaryFolder(), "ringback.db")}`;
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  return database.url;
}

test.each(["sqlite", "postgres"] as const)("account remove erases everything without a service (%s)", { timeout: 60_000 }, async (kind) => {
  const receiver = await startReceiver({ answers: () => 500 });
  onTestFinished(() => receiver.close());
  const service = await startService({ database: { url: await databaseUrl(kind) }, environment: { RETRY_SCHEDULE: "0s,1h" } });
  const { account_id, client } = await service.createAccount("acme");
  await client.send("POST", "/v1/hooks", { url: `${receiver.url}/hook` });
  for (const n of [1, 2, 3]) {
    const watch = { call_sid: `OUT-sandbox-slow-${n}`, source: "sandbox", callback_url: `${receiver.url}/${n}` };
    expect((await client.send("POST", "/v1/watches", watch)).status).toBe(201);
  }
  await eventually(
    () => client.list<{ attempt_count: number }>("/v1/deliveries"),
    (all) => all.length >= 6 && all.every(({ attempt_count }) => attempt_count > 0),
  );
  await service.command(["account", "disable", "acme"]);
  await service.command(["account", "enable", "acme"]);
  await service.stop();

  expect(await service.command(["account", "remove", "acme", "--yes"])).toEqual({ account_id, name: "acme", removed: true });
  expect(await service.command<readonly { name: string }[]>(["account", "list"])).toMatchObject([{ name: "default" }]);
  expect((await service.command(["account", "create", "acme"]))["account_id"]).not.toBe(account_id);
});

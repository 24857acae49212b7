import { mkdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { answering, triggerUpstream } from "../harness/upstream/trigger-upstream.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { blocksOf, commandsOf, documents, root } from "./documents.ts";
import { createShell } from "./shell.ts";

// Setup: every block of shell in README and guides, in the order of its document, against a service of that document's own.
// What this proves: readers can copy each command and request as it is, and it succeeds.

/** Key and secret that the documents name. */
const key = "try-ringback-locally-0001";

/** Commands that other tests run, or that need what no test has. Each begins as written here. */
const elsewhere: readonly { readonly command: string; readonly reason: string; readonly provenBy?: string }[] = [
  { command: "npm ci", reason: "installs this repository", provenBy: ".ci/run" },
  { command: "npm run demo", reason: "takes 13 s", provenBy: "test/e2e/demo.rounds.ts" },
  { command: "npm run --silent ringback -- listen", reason: "runs until it is stopped", provenBy: "test/docs/first-webhook.test.ts" },
  { command: "npm run --silent ringback -- simulate", reason: "runs until it is stopped", provenBy: "test/simulator" },
  {
    command: "RINGBACK_API_KEY=try-ringback-locally-0001 npm run --silent ringback -- \\\n  watch",
    reason: "shows a call to its end",
    provenBy: "test/e2e/watch-command.test.ts",
  },
  {
    command: "RINGBACK_API_KEY=try-ringback-locally-0001 npm run --silent ringback -- watch",
    reason: "shows a call to its end",
    provenBy: "test/e2e/watch-command.test.ts",
  },
  { command: "npm run ringback -- source check phone", reason: "asks Twilio", provenBy: "test/cli/commands/sources.test.ts" },
  {
    command: 'RINGBACK_ENCRYPTION_KEY="$NEW,$OLD" npm run',
    reason: "needs two restarts",
    provenBy: "test/cli/commands/administration.test.ts",
  },
  { command: "npm run ringback -- migrate --from", reason: "needs a Postgres", provenBy: "test/cli/commands/move-database.test.ts" },
  { command: "export DATABASE_URL=postgres:", reason: "needs a Postgres", provenBy: "test/e2e/start-postgres.test.ts" },
  { command: "createdb", reason: "needs the programs of Postgres" },
  { command: "docker", reason: "needs a Docker daemon" },
  { command: "fly", reason: "needs an account at Fly.io" },
];

const placeholders: readonly (readonly [RegExp, string])[] = [
  [/RINGBACK_API_KEY=…/g, `RINGBACK_API_KEY=${key}`],
  [/POLYAI_BASE_URL=…/g, "POLYAI_BASE_URL=https://api.uk-1.platform.polyai.app"],
  [/(POLYAI_AUTH_TOKEN|ACME_POLYAI_TOKEN)=…/g, "$1=token"],
  [/Bearer …/g, "Bearer token"],
  // The longest wait for nothing.
  [/wait=30/g, "wait=1"],
];

/** What a document needs before its commands, and what it names and only the test knows. */
type Setting = {
  readonly client: Awaited<ReturnType<typeof startService>>["client"];
  readonly run: (args: readonly string[]) => Promise<unknown>;
  readonly upstream: Awaited<ReturnType<typeof triggerUpstream>>;
  readonly folder: string;
};
const preparations: Readonly<Record<string, (setting: Setting) => Promise<readonly (readonly [RegExp, string])[]>>> = {
  "feed.md": async ({ client }) => {
    const { body } = await client.post("/v1/watches", { call_sid: "OUT-1", callback_url: "https://crm.example.com/hooks/calls" });
    return [[/<endpoint id>/g, String(body["endpoint_id"])]];
  },
  "operators.md": async ({ run }) => {
    await run(["account", "create", "spare"]);
    const { key_id: id } = (await run(["key", "create", "spare"])) as { key_id: string };
    return [[/<key id>/g, id]];
  },
  "placing.md": unknownPlacing,
  "receivers.md": async ({ folder }) => {
    await writeFile(join(folder, "body.json"), "{}");
    const signature = new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign("evt_1", new Date(1_795_643_237_000), "{}");
    // A webhook of that time is too old or too early: the command names this fault, and exits with 1.
    return [[/'v1,…' --body-file body.json/g, `'${signature}' --body-file ${folder}/body.json > seen || grep clock seen`]];
  },
  "runbooks.md": unknownPlacing,
  "sources.md": async ({ run, folder }) => {
    await run(["account", "create", "acme"]);
    const [source = "", placing = ""] = blocksOf("src/http/docs/guides/sources.md", "json");
    await writeFile(join(folder, "source.json"), source);
    await writeFile(join(folder, "placing.json"), placing);
    return [[/--file (?=source|placing)/g, `--file ${folder}/`]];
  },
};

async function unknownPlacing({ client, upstream }: Setting): Promise<readonly (readonly [RegExp, string])[]> {
  upstream.answer(answering(500, {}));
  const { body } = await client.post(
    "/v1/calls",
    { call: { to_number: "+441234567890" }, callback_url: null },
    { "idempotency-key": "first" },
  );
  expect(body["type"]).toBe("urn:ringback:problem:call-unknown");
  upstream.answer(answering(200, { call_sid: "OUT-placed-1" }));
  const { data } = (await client.get("/v1/placings?state=unknown")).body as unknown as { data: readonly { id: string }[] };
  return [
    [/plc_…/g, data[0]?.id ?? ""],
    [/OUT-…/g, "OUT-550e8400"],
  ];
}

const withCommands = documents.filter(
  (path) => (path === "README.md" || path.startsWith("src/http/docs/guides/")) && blocksOf(path, "sh").length > 0,
);

test.each(withCommands)("every command of %s succeeds as it is written", { timeout: 60_000 }, async (path) => {
  const upstream = await triggerUpstream();
  const simulator = await simulatedUpstream();
  const service = await startService({ database: "sqlite-file", environment: { ...upstream.environment, RINGBACK_API_KEY: key } });
  const folder = await temporaryFolder();
  await mkdir(join(folder, "data"));
  await writeFile(join(folder, "data/encryption.key"), Buffer.alloc(32, 1).toString("base64"));
  const client = service.clientOf(key);
  const name = path.split("/").at(-1) ?? "";
  const own = await preparations[name]?.({ client, run: (args) => service.command(args), upstream, folder });
  const ports = { 8080: Number(new URL(service.url).port), 9200: Number(new URL(simulator.url).port) };
  const environment = {
    DATABASE_URL: `sqlite:${service.databasePath}`,
    RINGBACK: service.url,
    KEY: key,
    ACCOUNT_SID: "AC1",
    AUTH_TOKEN: "token",
  };
  const run = await createShell(folder, environment, ports);
  const cursor = String((await client.get("/v1/events")).body["next_cursor"]);
  const fill = [...(own ?? []), ...placeholders, [/<next_cursor>/g, cursor], [/ \/backup\//g, ` ${folder}/`]] as const;

  for (const block of blocksOf(path, "sh")) {
    const commands = commandsOf(block).filter((command) => {
      const isElsewhere = elsewhere.some((each) => command.startsWith(each.command));
      // The service of the test has an address of its own.
      return !isElsewhere && !command.startsWith("export RINGBACK=");
    });
    if (commands.length === 0) continue;
    const script = fill.reduce((text, [pattern, value]) => text.replaceAll(pattern, value), commands.join("\n"));
    expect([script, await run(script)]).toEqual([script, expect.objectContaining({ code: 0 })]);
    expect([script, /<[a-z _]+>|…/.test(script)]).toEqual([script, false]);
  }
});

test("what is not run here is in a document, and what proves it exists", () => {
  const all = withCommands.flatMap((path) => blocksOf(path, "sh").flatMap(commandsOf));
  for (const { command, provenBy } of elsewhere) {
    expect([command, all.some((each) => each.startsWith(command))]).toEqual([command, true]);
    if (provenBy !== undefined) expect([provenBy, existsSync(join(root, provenBy))]).toEqual([provenBy, true]);
  }
});

import { tlsParameterFault } from "../../adapters/postgres/connection/connection-string.ts";
import { parseDatabaseUrl, readVariable } from "../../service/config.ts";
import { encryptionKeyOrigin } from "../../adapters/sealing/encryption-key-file.ts";
import { openAdministration, readDatabaseConfig } from "./administration.ts";
import { UsageError, readArguments } from "../command.ts";
import type { Command, Terminal } from "../command.ts";
import { Progress, partOf, progressFlag, progressUsage } from "../progress.ts";
import { moveDatabase } from "./move-database.ts";

/** `migrate`: migrates the schema, as every start does, or moves all data into another database. */
export const migrateCommand: Command = {
  summary: "bring the database of DATABASE_URL up to date, or move an embedded one to Postgres",
  usage: `  --from sqlite:<path>  database to move; no server may run on it, and it is not changed
  --to postgres://…     empty target database; DATABASE_URL if left out
${progressUsage}
Without them the schema is brought up to date; serve does the same at its start.`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { texts: ["from", "to"], switches: [progressFlag] });
    if (values.from !== undefined)
      return move({ from: values.from, to: values.to ?? null, json, isAsked: values[progressFlag] === true }, terminal);
    if (values.to !== undefined) throw new UsageError("--to needs --from");
    await using administration = await openAdministration();
    const { migrations, config } = administration;
    // The URL may contain a password.
    const name = config.database.kind === "sqlite" ? config.database.path : "postgres";
    const said = migrations === 0 ? "is up to date" : `is up to date after ${migrations} migrations`;
    terminal.out(json ? JSON.stringify({ database: name, migrations }) : `${name} ${said}`);
    return 0;
  },
};

type MoveRequest = { readonly from: string; readonly to: string | null; readonly json: boolean; readonly isAsked: boolean };

async function move({ from, to, json, isAsked }: MoveRequest, terminal: Terminal): Promise<0> {
  const source = parseDatabaseUrl(from)?.database;
  if (source?.kind !== "sqlite" || source.path === ":memory:") throw new UsageError("--from must be sqlite:<path of the database file>");
  const target = to === null ? readDatabaseConfig() : parseDatabaseUrl(to);
  if (target === null || target.postgresUrl === null)
    throw new UsageError(`${to === null ? "DATABASE_URL" : "--to"} must be postgres://<user>:<password>@<host>/<database>`);
  const tlsFault = tlsParameterFault(target.postgresUrl);
  if (tlsFault !== null) throw new UsageError(`--to ${tlsFault}`);
  using progress = new Progress(terminal, isAsked);
  const moved = await moveDatabase({
    sqlitePath: source.path,
    postgresUrl: target.postgresUrl,
    onPage: ({ table, done, total }) => progress.say(() => `${partOf(done, total, "rows")}, now of ${table}`),
  });
  progress[Symbol.dispose]();
  const origin = encryptionKeyOrigin(readVariable("RINGBACK_ENCRYPTION_KEY"), source.path);
  const rows = moved.reduce((sum, table) => sum + table.rows, 0);
  if (json) terminal.out(JSON.stringify({ rows, tables: moved, encryption_key: { origin } }));
  else
    terminal.out(
      `${rows} rows of ${moved.length} tables moved\nThe encryption key was not moved: start the service with ${origin === "RINGBACK_ENCRYPTION_KEY" ? "the same RINGBACK_ENCRYPTION_KEY" : `RINGBACK_ENCRYPTION_KEY set to the key in ${origin}`}.`,
    );
  return 0;
}

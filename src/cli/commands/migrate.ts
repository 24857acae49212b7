import { parseDatabaseUrl, readVariable } from "../../service/config.ts";
import { encryptionKeyOrigin } from "../../adapters/sealing/encryption-key-file.ts";
import { openAdministration, readDatabaseConfig } from "./administration.ts";
import { UsageError, readArguments } from "../command.ts";
import type { Command, Terminal } from "../command.ts";
import { moveDatabase } from "./move-database.ts";

/** `migrate`: brings the schema up to date, as every start does by itself; or moves everything into another database. */
export const migrateCommand: Command = {
  summary: "bring the database of DATABASE_URL up to date, or move an embedded one to Postgres",
  usage: `  --from sqlite:<path>  move this database, which no server runs on; it stays as it is
  --to postgres://…     into this one, which must be empty; DATABASE_URL when left out
Without them the schema is brought up to date; serve does the same at its start.`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { from: { type: "string" }, to: { type: "string" } });
    if (values.from !== undefined) return move({ from: values.from, to: values.to ?? null, json }, terminal);
    if (values.to !== undefined) throw new UsageError("--to needs --from");
    await using administration = await openAdministration();
    const { migrations, config } = administration;
    // A URL may hold a password.
    const name = config.database.kind === "sqlite" ? config.database.path : "postgres";
    const said = migrations === 0 ? "is up to date" : `is up to date now, ${migrations} migrations later`;
    terminal.out(json ? JSON.stringify({ database: name, migrations }) : `${name} ${said}`);
    return 0;
  },
};

type MoveRequest = { readonly from: string; readonly to: string | null; readonly json: boolean };

async function move({ from, to, json }: MoveRequest, terminal: Terminal): Promise<0> {
  const source = parseDatabaseUrl(from)?.database;
  if (source?.kind !== "sqlite" || source.path === ":memory:") throw new UsageError("--from must be sqlite:<path of the database file>");
  const target = to === null ? readDatabaseConfig() : parseDatabaseUrl(to);
  if (target === null || target.postgresUrl === null)
    throw new UsageError(`${to === null ? "DATABASE_URL" : "--to"} must be postgres://<user>:<password>@<host>/<database>`);
  const moved = await moveDatabase({ sqlitePath: source.path, postgresUrl: target.postgresUrl });
  const origin = encryptionKeyOrigin(readVariable("RINGBACK_ENCRYPTION_KEY"), source.path);
  const rows = moved.reduce((sum, table) => sum + table.rows, 0);
  if (json) terminal.out(JSON.stringify({ rows, tables: moved, encryption_key: { origin } }));
  else
    terminal.out(
      `${rows} rows of ${moved.length} tables moved\nThe encryption key is not in them: start the service with the one of ${origin} in RINGBACK_ENCRYPTION_KEY.`,
    );
  return 0;
}

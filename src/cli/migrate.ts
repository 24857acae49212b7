import { openAdministration } from "./administration.ts";
import { readArguments } from "./command.ts";
import type { Command } from "./command.ts";

/** `migrate`: brings the schema up to date, as every start does by itself. */
export const migrateCommand: Command = {
  summary: "bring the database of DATABASE_URL up to date",
  usage: "  no flags of its own; serve does the same at its start",
  async run(args, terminal) {
    const { json } = readArguments(args, {});
    await using administration = await openAdministration();
    const { migrations, config } = administration;
    const { path } = config.database;
    const said = migrations === 0 ? "is up to date" : `is up to date now, ${migrations} migrations later`;
    terminal.out(json ? JSON.stringify({ database: path, migrations }) : `${path} ${said}`);
    return 0;
  },
};

import { backupDatabase } from "../../adapters/sqlite/backup.ts";
import type { OnCopied } from "../../adapters/sqlite/backup.ts";
import { encryptionKeyOrigin } from "../../adapters/sealing/encryption-key-file.ts";
import { resolveFromCaller } from "../../service/config.ts";
import { readDatabaseConfig } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";
import { Progress, partOf, progressFlag, progressUsage } from "../progress.ts";

const mebibytes = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);

/**
 * `backup`: copies the database into one file, without the encryption key, because a copy together with its key could be
 * read like plain text.
 */
export const backupCommand: Command = {
  summary: "copy the database into a new file, also while the service runs; without the encryption key",
  usage: `  <file>               must not exist yet
${progressUsage}
To restore: stop the service, put the file in the place of the database (and no -wal or -shm file beside it), start it
with the same encryption key.`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, { switches: [progressFlag], positionals: ["<file>"] });
    const file = resolveFromCaller(positionals[0] ?? "");
    const { database, encryptionKeys } = readDatabaseConfig();
    if (database.kind === "postgres") throw new Error("DATABASE_URL is a Postgres database: copy it with pg_dump");
    using progress = new Progress(terminal, values[progressFlag] === true);
    const say: OnCopied = ({ bytes: done, most }) => progress.say(() => `${partOf(mebibytes(done), mebibytes(most), "MiB at most")}`);
    const { bytes, keyIds } = await backupDatabase(database.path, file, progress.isShown ? say : undefined);
    progress[Symbol.dispose]();
    const origin = encryptionKeyOrigin(encryptionKeys, database.path);
    if (json) terminal.out(JSON.stringify({ file, bytes, encryption_key: { origin, key_ids: keyIds } }));
    else
      terminal.out(
        `${file}: ${bytes} bytes\nThe file does not contain the encryption key: keep ${origin}${keyIds.length === 0 ? "" : ` (key ${keyIds.join(", ")})`} separately. Without it no secret in the copy can be decrypted.`,
      );
    return 0;
  },
};

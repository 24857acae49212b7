import { isoTime } from "../../domain/events/payload.ts";
import { openAdministration } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";

/** `key list`: lists the ids of an account's keys, revoked ones included; never the keys. */
export const keyListCommand: Command = {
  summary: "list the ids of an account's API keys, never the keys",
  usage: "  <account>            id or name",
  async run(args, terminal) {
    const { json, positionals } = readArguments(args, { positionals: ["<account>"] });
    await using administration = await openAdministration();
    const account = await administration.account(positionals[0] ?? "");
    const keys = (await administration.store.listKeys(account.id)).map((key) => ({
      key_id: key.id,
      origin: key.name,
      created_at: isoTime(key.createdAtMs),
      revoked_at: isoTime(key.revokedAtMs),
    }));
    if (json) terminal.out(JSON.stringify(keys));
    else if (keys.length === 0) terminal.out(`account ${account.name} has no key`);
    else
      for (const key of keys)
        terminal.out(
          `${key.key_id}  ${key.origin.padEnd(12)}  made ${key.created_at}${key.revoked_at === null ? "" : `  revoked ${key.revoked_at}`}`,
        );
    return 0;
  },
};

import { isoTime } from "../../domain/events/payload.ts";
import { openAdministration } from "./administration.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** `key list`: lists the ids of an account's keys, revoked ones included; never the keys. */
export const keyListCommand: Command = {
  summary: "list the ids of an account's API keys, never the keys",
  usage: `  <account>            id or name
  --operator           in place of an account: the keys of the operator`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, { switches: ["operator"], optional: ["<account>"] });
    const isOperator = values.operator === true;
    if (isOperator === positionals.length > 0) throw new UsageError("give either <account> or --operator");
    await using administration = await openAdministration();
    const account = isOperator ? null : await administration.account(positionals[0] ?? "");
    const keys = (await administration.store.listKeys(account?.id ?? null)).map((key) => ({
      key_id: key.id,
      name: key.name,
      scopes: key.scopes,
      created_at: isoTime(key.createdAtMs),
      expires_at: isoTime(key.expiresAtMs),
      last_used_at: isoTime(key.lastUsedAtMs),
      revoked_at: isoTime(key.revokedAtMs),
    }));
    if (json) terminal.out(JSON.stringify(keys));
    else if (keys.length === 0) terminal.out(account === null ? "the operator has no key" : `account ${account.name} has no key`);
    else
      for (const { key_id, name, scopes, created_at, expires_at, last_used_at, revoked_at } of keys) {
        const times = [
          `made ${created_at}`,
          last_used_at === null ? "never used" : `used ${last_used_at}`,
          ...(expires_at === null ? [] : [`ends ${expires_at}`]),
          ...(revoked_at === null ? [] : [`revoked ${revoked_at}`]),
        ];
        terminal.out(`${key_id}  ${name.padEnd(12)}  ${scopes.join(",")}  ${times.join("  ")}`);
      }
    return 0;
  },
};

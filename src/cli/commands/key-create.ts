import { createdKeyJson, describeCreatedKey } from "./account-create.ts";
import { openAdministration } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";

/** `key create`: creates another API key, for a rotation or another client. */
export const keyCreateCommand: Command = {
  summary: "create another API key for an account and print it, once",
  usage: "  <account>            id or name",
  async run(args, terminal) {
    const { json, positionals } = readArguments(args, { positionals: ["<account>"] });
    await using administration = await openAdministration();
    const account = await administration.account(positionals[0] ?? "");
    const created = await (await administration.accounts()).createKey(account.id);
    terminal.out(
      json ? JSON.stringify(createdKeyJson(created)) : `another key for account ${account.name}\n${describeCreatedKey(created)}`,
    );
    return 0;
  },
};

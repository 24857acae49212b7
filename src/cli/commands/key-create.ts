import { createdKeyJson, describeCreatedKey } from "./account-create.ts";
import { openAdministration } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";

/** `key create`: one more API key, for a change of keys or another client. */
export const keyCreateCommand: Command = {
  summary: "make another API key for an account and print it, once",
  usage: "  <account>            its id or name",
  async run(args, terminal) {
    const { json, positionals } = readArguments(args, {}, ["<account>"]);
    await using administration = await openAdministration();
    const account = await administration.account(positionals[0] ?? "");
    const created = await (await administration.accounts()).createKey(account.id);
    terminal.out(
      json ? JSON.stringify(createdKeyJson(created)) : `another key for account ${account.name}\n${describeCreatedKey(created)}`,
    );
    return 0;
  },
};

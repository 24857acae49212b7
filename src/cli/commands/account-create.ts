import { AccountAdministration, accountNameFault, defaultAccountName } from "../../engine/administration/accounts.ts";
import { accountFlags, accountUsage, readAccountFlags } from "./account-settings.ts";
import { openOrCreateAdministration } from "./administration.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

const noSourceHint =
  "It polls nothing but the sandbox yet: make a source for it (source set --account), or let it use the source default (account set --default-source).";

/** `account create`: creates an account with its first API key. */
export const accountCreateCommand: Command = {
  summary: "create an account and print its first API key, once",
  usage: `  <name>                 name of the account, unique\n${accountUsage}`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, { ...accountFlags, positionals: ["<name>"] });
    const { usesDefaultSource = false, ...placing } = readAccountFlags(values);
    const [name = ""] = positionals;
    const fault = accountNameFault(name);
    if (fault !== null) throw new UsageError(`<name> ${fault}`);
    await using administration = await openOrCreateAdministration((path) => terminal.error(`made the database ${path}`));
    const { store, clock } = administration;
    const accounts = new AccountAdministration({ store, clock, ...(await administration.sealingKeyring()) });
    const result = await accounts.createAccount(name, usesDefaultSource, placing);
    if (result.kind === "name_taken")
      throw new Error(`account ${name} exists already (${result.account.id}); use key create for another key`);
    const hint = usesDefaultSource || name === defaultAccountName ? "" : `\n${noSourceHint}`;
    terminal.out(json ? JSON.stringify(createdKeyJson(result)) : `account ${name}\n${describeCreatedKey(result)}${hint}`);
    return 0;
  },
};

type Shown = { readonly accountId: string | null; readonly keyId: string; readonly key: string };

/** Formats a new key. It is shown only this once. */
export function createdKeyJson({ accountId, keyId, key }: Shown) {
  return { account_id: accountId, key_id: keyId, key };
}

export function describeCreatedKey({ accountId, keyId, key }: Shown): string {
  const owner = accountId === null ? "" : `  account id  ${accountId}\n`;
  return `${owner}  key id      ${keyId}\n  API key     ${key}\nThe key is shown once and cannot be read again.`;
}

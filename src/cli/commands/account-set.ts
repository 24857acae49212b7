import { commandLine } from "../../domain/audit.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { accountFlags, accountUsage, readAccountFlags } from "./account-settings.ts";
import { openAdministration } from "./administration.ts";

/** `account set`: changes what an account may do. */
export const accountSetCommand: Command = {
  summary: "change what an account may do; a running service follows within 5 s",
  usage: `  <name>                 of the account, or its id; settings left out below keep their value\n${accountUsage}`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, { ...accountFlags, positionals: ["<name>"] });
    const changes = readAccountFlags(values);
    if (Object.keys(changes).length === 0) throw new UsageError("there is nothing to set: see --help");
    await using administration = await openAdministration();
    const { id, name } = await administration.account(positionals[0] ?? "");
    if (changes.usesDefaultSource === false && name === "default") throw new Error("the account default always uses the source default");
    const account = await administration.store.setAccount({ accountId: id, changes, by: commandLine, nowMs: administration.clock.nowMs() });
    if (account === null) throw new Error(`no account ${JSON.stringify(name)}`);
    terminal.out(json ? JSON.stringify(accountSettingsJson(account)) : describeSettings(account));
    return 0;
  },
};

function accountSettingsJson({ id, name, usesDefaultSource, placing }: Account) {
  return {
    account_id: id,
    name,
    default_source: usesDefaultSource,
    may_place: placing.mayPlace,
    place_to: placing.prefixes,
    place_per_minute: placing.perMinute,
    place_per_day: placing.perDay,
  };
}

function describeSettings({ name, usesDefaultSource, placing }: Account): string {
  const { mayPlace, prefixes, perMinute, perDay } = placing;
  const places = mayPlace
    ? `places ${perMinute} calls a minute, ${perDay} a day, to ${prefixes?.join(", ") ?? "any number"}`
    : "places no calls";
  return `account ${name}: ${usesDefaultSource ? "uses" : "does not use"} the source default, ${places}`;
}

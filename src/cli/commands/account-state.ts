import { commandLine } from "../../domain/audit.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";
import { openAdministration } from "./administration.ts";

/** `account disable`: refuses the requests of an account and stops its polls and webhooks. */
export const accountDisableCommand: Command = {
  summary: "refuse an account's requests, stop its polls and webhooks; a running service follows within 5 s",
  usage: `  <name>                 of the account, or its id
Calls that other accounts watch too are polled for these. Deadlines of its watches wait. Its webhooks are kept
RETENTION_DAYS and sent in order once account enable enables it.`,
  run: (args, terminal) => setState(args, terminal, true),
};

/** `account enable`: enables a disabled account. */
export const accountEnableCommand: Command = {
  summary: "enable a disabled account; a running service follows within 5 s",
  usage: "  <name>                 of the account, or its id",
  run: (args, terminal) => setState(args, terminal, false),
};

async function setState(args: Parameters<Command["run"]>[0], terminal: Parameters<Command["run"]>[1], isDisabled: boolean): Promise<0> {
  const { json, positionals } = readArguments(args, { positionals: ["<name>"] });
  await using administration = await openAdministration();
  const { store, clock } = administration;
  const { id, name } = await administration.account(positionals[0] ?? "");
  const result = await store.setAccountState({ accountId: id, isDisabled, by: commandLine, nowMs: clock.nowMs() });
  if (result.kind === "unknown") throw new Error(`no account ${JSON.stringify(name)}`);
  if (result.kind === "being_removed") throw new Error(`account ${name} is being removed`);
  const state = isDisabled ? "disabled" : "enabled";
  terminal.out(
    json
      ? JSON.stringify({ account_id: id, name, disabled: isDisabled })
      : `account ${name} is ${state}${result.kind === "unchanged" ? " already" : ""}`,
  );
  return 0;
}

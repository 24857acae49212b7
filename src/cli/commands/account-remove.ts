import { setTimeout } from "node:timers/promises";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { Progress, progressFlag, progressUsage } from "../progress.ts";
import { openAdministration } from "./administration.ts";
import type { Administration } from "./administration.ts";

const waitMs = 200;

/** `account remove`: erases an account with everything that it has. */
export const accountRemoveCommand: Command = {
  summary: "disable an account and erase everything of it",
  usage: `  <name>                 of the account, or its id; never default
  --yes                  required, because nothing brings it back
${progressUsage}
Its keys stop at once. The rest is erased in portions, also by a running service: a command that is interrupted need not be
repeated. Calls that other accounts watch stay. The name is free once the command ends.`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, { switches: ["yes", progressFlag], positionals: ["<name>"] });
    await using administration = await openAdministration();
    const { store, clock } = administration;
    const { id, name } = await administration.account(positionals[0] ?? "");
    if (name === "default") throw new UsageError("the account default cannot be removed");
    if (values.yes !== true) throw new UsageError(`account ${name} would be erased with everything that it has: add --yes`);
    const removed = await store.removeAccount({ accountId: id, nowMs: clock.nowMs() });
    if (removed.kind === "unknown") throw new Error(`no account ${JSON.stringify(name)}`);
    using progress = new Progress(terminal, values[progressFlag] === true);
    const erased = await erase(administration, { id, name }, { progress, signal: terminal.signal });
    if (!erased.isDone) throw new Error(`interrupted after ${erased.rows} rows; a running service goes on, or the next start does`);
    terminal.out(
      json ? JSON.stringify({ account_id: id, name, removed: true }) : `removed: account ${name} (${id}); ${erased.rows} rows erased`,
    );
    return 0;
  },
};

/** Erases portion by portion, beside a service that does the same, until the account is gone. */
async function erase(
  { store, clock }: Administration,
  { id, name }: { readonly id: string; readonly name: string },
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<{ readonly rows: number; readonly isDone: boolean }> {
  let rows = 0;
  while (!signal.aborted) {
    const portion = await store.sweepMark({ accountId: id, nowMs: clock.nowMs() });
    if (portion.kind === "swept") rows += portion.rows;
    else if ((await store.getAccount(id)) === null) return { rows, isDone: true };
    else await setTimeout(waitMs);
    progress.say(() =>
      rows === 0
        ? `account ${name} is disabled; waiting for its requests to end`
        : `account ${name}: ${rows.toLocaleString("en")} rows erased so far`,
    );
  }
  return { rows, isDone: false };
}

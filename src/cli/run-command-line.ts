import { accountCreateCommand } from "./commands/account-create.ts";
import { accountListCommand } from "./commands/account-list.ts";
import { accountRemoveCommand } from "./commands/account-remove.ts";
import { accountSetCommand } from "./commands/account-set.ts";
import { accountDisableCommand, accountEnableCommand } from "./commands/account-state.ts";
import { backupCommand } from "./commands/backup.ts";
import { completionCommand } from "./commands/completion.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { UsageError } from "./command.ts";
import type { Command, Terminal } from "./command.ts";
import { keyCreateCommand } from "./commands/key-create.ts";
import { keyListCommand } from "./commands/key-list.ts";
import { keyRevokeCommand } from "./commands/key-revoke.ts";
import { listenCommand } from "./commands/listen.ts";
import { mcpCommand } from "./commands/mcp.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { openApiCommand } from "./commands/openapi.ts";
import { reencryptCommand } from "./commands/reencrypt.ts";
import { serveCommand } from "./commands/serve.ts";
import { simulateCommand } from "./commands/simulate.ts";
import { sourceCheckCommand } from "./commands/source-check.ts";
import { sourceListCommand } from "./commands/source-list.ts";
import { sourceRemoveCommand } from "./commands/source-remove.ts";
import { sourceSetCommand } from "./commands/source-set.ts";
import { verifyCommand } from "./commands/verify.ts";
import { watchCommand } from "./commands/watch.ts";

/** Commands by their name: one word, or two for the commands of one kind of resource. */
const commands: Readonly<Record<string, Command>> = {
  serve: serveCommand,
  migrate: migrateCommand,
  "account list": accountListCommand,
  "account create": accountCreateCommand,
  "account set": accountSetCommand,
  "account disable": accountDisableCommand,
  "account enable": accountEnableCommand,
  "account remove": accountRemoveCommand,
  "key create": keyCreateCommand,
  "key list": keyListCommand,
  "key revoke": keyRevokeCommand,
  "source set": sourceSetCommand,
  "source list": sourceListCommand,
  "source check": sourceCheckCommand,
  "source remove": sourceRemoveCommand,
  watch: watchCommand,
  listen: listenCommand,
  verify: verifyCommand,
  simulate: simulateCommand,
  reencrypt: reencryptCommand,
  backup: backupCommand,
  openapi: openApiCommand,
  doctor: doctorCommand,
  mcp: mcpCommand,
  completion: completionCommand(() => commands),
};

const exitCodes = { failed: 1, usage: 2 };

/** Runs one command and resolves with the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const [first, second] = args;
  if (first === undefined || first === "help" || isHelp(first)) {
    (first === undefined ? terminal.error : terminal.out)(overview(commands));
    return first === undefined ? exitCodes.usage : 0;
  }
  const name = commandNamed(`${first} ${second ?? ""}`) ?? commandNamed(first);
  const command = name === null ? undefined : commands[name];
  if (name === null || command === undefined) return explainUnknown(first, second, terminal);
  const rest = args.slice(name.split(" ").length);
  if (rest.some(isHelp)) {
    terminal.out(`ringback ${name}: ${command.summary}\n${command.usage}\n  --json               output for programs`);
    return 0;
  }
  try {
    return await command.run(rest, terminal);
  } catch (error) {
    terminal.error(`ringback ${name}: ${messageOf(error)}`);
    return error instanceof UsageError ? exitCodes.usage : exitCodes.failed;
  }
}

function commandNamed(name: string): string | null {
  return Object.hasOwn(commands, name) ? name : null;
}

function isHelp(argument: string): boolean {
  return argument === "--help" || argument === "-h";
}

/** Explains an unknown command. Its first word may begin several commands, which are then listed. */
function explainUnknown(first: string, second: string | undefined, terminal: Terminal): number {
  const group = Object.fromEntries(Object.entries(commands).filter(([name]) => name.startsWith(`${first} `)));
  if (Object.keys(group).length === 0) terminal.error(`ringback: no command ${JSON.stringify(first)}; see --help`);
  else if (second !== undefined && isHelp(second)) {
    terminal.out(overview(group));
    return 0;
  } else
    terminal.error(
      `ringback: no command ${JSON.stringify(second === undefined ? first : `${first} ${second}`)}; there are ${Object.keys(group).join(", ")}`,
    );
  return exitCodes.usage;
}

/** Returns the message of an error. A failed connection to several addresses has an empty message and contains one error for each. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

function overview(listed: typeof commands): string {
  const lines = Object.entries(listed).map(([name, command]) => `  ${name.padEnd(16)} ${command.summary}`);
  return `usage: npm run ringback -- <command> [flags]\n\n${lines.join("\n")}\n\nSee <command> --help for details. Exit codes: 0 done, 1 failed, 2 wrong usage.`;
}

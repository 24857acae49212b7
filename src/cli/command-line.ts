import { UsageError } from "./command.ts";
import type { Command, Terminal } from "./command.ts";
import { listenCommand } from "./listen.ts";
import { openApiCommand } from "./openapi.ts";
import { serveCommand } from "./serve.ts";
import { simulateCommand } from "./simulate.ts";
import { verifyCommand } from "./verify.ts";
import { watchCommand } from "./watch.ts";

const commands: Readonly<Record<string, Command>> = {
  serve: serveCommand,
  watch: watchCommand,
  listen: listenCommand,
  verify: verifyCommand,
  simulate: simulateCommand,
  openapi: openApiCommand,
};

const exitCodes = { failed: 1, usage: 2 };

/** Runs one command and resolves with the exit code: 0 done, 1 failed, 2 called wrongly. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    (name === undefined ? terminal.error : terminal.out)(overview());
    return name === undefined ? exitCodes.usage : 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    terminal.error(`ringback: no command ${JSON.stringify(name)}; see --help`);
    return exitCodes.usage;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
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

/** An attempt to reach several addresses fails with an empty message and the reasons inside. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

function overview(): string {
  const lines = Object.entries(commands).map(([name, command]) => `  ${name.padEnd(10)} ${command.summary}`);
  return `usage: npm run ringback -- <command> [flags]\n\n${lines.join("\n")}\n\n<command> --help says more. Exit codes: 0 done, 1 failed, 2 called wrongly.`;
}

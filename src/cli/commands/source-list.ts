import { readConfig } from "../../service/config.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import { openAdministration } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";
import { describeSource, sourceJson } from "./source-json.ts";

/** `source list`: lists the sources, without credentials. */
export const sourceListCommand: Command = {
  summary: "list the sources of calls, never a credential",
  usage: `  no flags of its own
The source default is listed as this command's environment has it; a running service has that of its own.`,
  async run(args, terminal) {
    const { json } = readArguments(args, {});
    await using administration = await openAdministration();
    const { store } = administration;
    const set = await Promise.all(
      (await store.listSources()).map(async (source) => ({
        shown: { ...sourceJson(source), origin: "command line" },
        line: `${describeSource(source)}  for ${source.accountId === null ? "every account" : await accountNamed(administration, source.accountId)}`,
      })),
    );
    const all = [...ofEnvironment(), ...set];
    if (json) terminal.out(JSON.stringify(all.map(({ shown }) => shown)));
    else if (all.length === 0) terminal.out("no sources set; the source sandbox always exists");
    else for (const { line } of all) terminal.out(line);
    return 0;
  },
};

function ofEnvironment() {
  const read = readConfig();
  if (read.kind === "invalid" || read.config.source === null) return [];
  const source = { ...read.config.source, name: defaultSourceName, accountId: null };
  return [
    {
      shown: { ...sourceJson(source), origin: "environment" },
      line: `${describeSource(source)}  for accounts made with --default-source (environment)`,
    },
  ];
}

async function accountNamed(
  { store }: { readonly store: { getAccount(id: string): Promise<{ readonly name: string } | null> } },
  id: string,
) {
  return `account ${(await store.getAccount(id))?.name ?? "?"} (${id})`;
}

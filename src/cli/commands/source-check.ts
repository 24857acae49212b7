import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import { sandboxSourceName } from "../../domain/sources/sandbox.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import { readConfig } from "../../service/config.ts";
import { checkSource } from "./checked-source.ts";
import { openAdministration } from "./administration.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** `source check`: polls one call of a source and says what the answer proves. */
export const sourceCheckCommand: Command = {
  summary: "poll one call of a source and say what its answer proves",
  usage: `  <name>               of a source that source set created, or default as this environment has it
  <sid>                SID of a real call; without one, a call that cannot exist is polled
Exit code 1 if the address, the credential or the definition is wrong, with the reason.`,
  async run(args, terminal) {
    const { json, positionals } = readArguments(args, { positionals: ["<name>"], optional: ["<sid>"] });
    const [name = "", callSid] = positionals;
    if (name === sandboxSourceName) throw new UsageError("sandbox is scripted inside the service and has no upstream");
    const { settings, credential } = await sourceNamed(name);
    const { ok, text, callSid: polled, observation } = await checkSource(settings, credential, callSid);
    terminal.out(json ? JSON.stringify({ name, call_sid: polled, ok, observation, detail: text }) : `${ok ? "ok" : "bad"}: ${text}`);
    return ok ? 0 : 1;
  },
};

async function sourceNamed(name: string): Promise<{ readonly settings: SourceSettings; readonly credential: string }> {
  if (name === defaultSourceName) {
    const read = readConfig();
    if (read.kind === "invalid") throw new Error(read.faults.join("; "));
    const { source } = read.config;
    const { upstreamCredential } = read.secrets;
    if (source === null || upstreamCredential === null)
      throw new Error("this environment has no source default: set POLYAI_BASE_URL and its companions");
    return { settings: source, credential: upstreamCredential };
  }
  await using administration = await openAdministration();
  const found = (await administration.store.listSources()).find((source) => source.name === name && source.removedAtMs === null);
  if (found === undefined) throw new Error(`no source ${JSON.stringify(name)}; source list shows the names`);
  const { secretBox } = await administration.keyring();
  return { settings: found, credential: secretBox.open(found.sealedCredential, associatedData("credential", found.id)) };
}

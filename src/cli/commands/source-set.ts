import { readVariable } from "../../service/config.ts";
import { upstreamKinds } from "../../adapters/polyai/kinds.ts";
import { kindFields, kindsWith } from "../../domain/sources/source-settings.ts";
import type { SourceFault } from "../../domain/sources/source-settings.ts";
import { setSource } from "../../engine/administration/sources.ts";
import type { SetSourceOutcome, SourceSettingsChange } from "../../engine/administration/sources.ts";
import { openAdministration } from "./administration.ts";
import { readArguments, readStandardInput, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { describeSource, sourceJson } from "./source-json.ts";

const kindNames = upstreamKinds.map(({ name }) => name);
const flagOf: Readonly<Record<SourceFault["field"], string>> = {
  name: "<name>",
  kind: "--kind",
  baseUrl: "--base-url",
  credential: "the credential",
  agentId: kindFields.agentId.flag,
  environment: kindFields.environment.flag,
  maxPollsPerSecond: "--max-polls-per-second",
};

/** `source set`: creates a source or changes the given settings of one; a running service follows within 5 s. */
export const sourceSetCommand: Command = {
  summary: "create or change a source of calls; a running service follows within 5 s",
  usage: `  <name>                        letters, digits, - and _; settings left out below keep their value
  --kind <kind>                 ${kindNames.join(" or ")}; the first for a new source
  --base-url <url>              of the upstream
  --credential <text>           ${upstreamKinds.map(({ credentialHeader }) => credentialHeader).join(" or ")}; other users of the machine may see it here, so rather:
  --credential-env <variable>   read it from an environment variable
  --credential-stdin            read it from standard input
  --agent-id <text>             ${kindsWith("agentId", upstreamKinds)} alone
  --environment <text>          ${kindsWith("environment", upstreamKinds)} alone
  --max-polls-per-second <n>    over all instances; 200 for a new source
  --account <account>           the only one that may use it, by id or name; everybody unless given`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, {
      texts: ["kind", "base-url", "credential", "credential-env", "agent-id", "environment", "max-polls-per-second", "account"],
      switches: ["credential-stdin"],
      positionals: ["<name>"],
    });
    const [name = ""] = positionals;
    const credential = await readCredential(values);
    const kind = values.kind === undefined ? undefined : readKind(values.kind);
    const rate = values["max-polls-per-second"];
    const given = {
      kind,
      baseUrl: values["base-url"],
      credential,
      agentId: values["agent-id"],
      environment: values.environment,
      maxPollsPerSecond: rate === undefined ? undefined : readNumber(rate),
    };
    await using administration = await openAdministration();
    const account = values.account === undefined ? undefined : await administration.account(values.account);
    const change = Object.fromEntries(Object.entries({ ...given, accountId: account?.id }).filter(([, value]) => value !== undefined));
    const { store, clock } = administration;
    const { secretBox } = await administration.sealingKeyring();
    const { kind: done, source } = settled(
      await setSource({ store, clock, secretBox, kinds: upstreamKinds }, { ...(change as Omit<SourceSettingsChange, "name">), name }),
      name,
    );
    terminal.out(json ? JSON.stringify({ ...sourceJson(source), created: done === "created" }) : `${done}: ${describeSource(source)}`);
    return 0;
  },
};

function settled(outcome: SetSourceOutcome, name: string): Extract<SetSourceOutcome, { kind: "created" | "changed" }> {
  switch (outcome.kind) {
    case "created":
    case "changed":
      return outcome;
    case "invalid":
      throw new UsageError(outcome.faults.map(({ field, detail }) => `${flagOf[field]} ${detail}`).join("; "));
    case "owned_otherwise":
      throw new Error(`source ${name} belongs to ${outcome.accountId ?? "every account"}, which cannot change; choose another name`);
    case "conflict":
      throw new Error(`source ${name} was changed concurrently; check it and retry`);
  }
}

async function readCredential(values: {
  readonly credential?: string | undefined;
  readonly "credential-env"?: string | undefined;
  readonly "credential-stdin"?: boolean | undefined;
}): Promise<string | undefined> {
  const ways = [values.credential, values["credential-env"], values["credential-stdin"]].filter((way) => way !== undefined);
  if (ways.length > 1) throw new UsageError("--credential, --credential-env and --credential-stdin exclude each other");
  if (values["credential-stdin"] === true) return (await readStandardInput()).toString("utf8").trim();
  const variable = values["credential-env"];
  if (variable === undefined) return values.credential;
  const value = readVariable(variable);
  if (value === null) throw new UsageError(`--credential-env: ${variable} is not set`);
  return value;
}

function readKind(text: string): string {
  if (!kindNames.includes(text)) throw new UsageError(`--kind must be ${kindNames.join(" or ")}`);
  return text;
}

function readNumber(text: string): number {
  return /^\d{1,6}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
}

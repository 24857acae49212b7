import { presetNames } from "../../adapters/json/presets.ts";
import { isoTime } from "../../domain/events/payload.ts";
import type { SourceStore } from "../../ports/stores/source-store.ts";
import type { UpstreamKind } from "../../ports/upstream-kind.ts";
import { readVariable } from "../../service/config.ts";
import { upstreamKinds } from "../../adapters/upstream/kinds.ts";
import { kindFields, kindsWith } from "../../domain/sources/source-settings.ts";
import type { SourceFault } from "../../domain/sources/source-settings.ts";
import { parseMapEntry } from "../../domain/sources/status-map.ts";
import type { StatusMapChanges } from "../../domain/sources/status-map.ts";
import { setSource } from "../../engine/administration/sources.ts";
import type { SetSourceOutcome, SourceSettingsChange } from "../../engine/administration/sources.ts";
import { openAdministration } from "./administration.ts";
import { readArguments, readStandardInput, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { readSourceFile } from "./source-file.ts";
import { describeSource, sourceJson } from "./source-json.ts";

/** Kinds with a base URL. The others are set by a file. */
const flagKinds = upstreamKinds.filter(({ takesDefinition }) => takesDefinition !== true);
const kindNames = flagKinds.map(({ name }) => name);
const flagOf: Readonly<Record<SourceFault["field"], string>> = {
  name: "<name>",
  kind: "--kind",
  baseUrl: "--base-url",
  credential: "the credential",
  agentId: kindFields.agentId.flag,
  environment: kindFields.environment.flag,
  definition: "--file",
  statusMap: "--map",
  maxPollsPerSecond: "--max-polls-per-second",
};

/** `source set`: creates a source or changes the given settings of one; a running service follows within 5 s. */
export const sourceSetCommand: Command = {
  summary: "create or change a source of calls; a running service follows within 5 s",
  usage: `  <name>                        letters, digits, - and _; settings left out below keep their value
  --kind <kind>                 ${kindNames.join(" or ")}; the first for a new source
  --base-url <url>              of the upstream
  --credential <text>           ${flagKinds.map(({ credentialHeader }) => credentialHeader).join(" or ")}; other users of the machine may see it here, so rather:
  --credential-env <variable>   read it from an environment variable
  --credential-stdin            read it from standard input
  --agent-id <text>             ${kindsWith("agentId", upstreamKinds)} alone
  --environment <text>          ${kindsWith("environment", upstreamKinds)} alone
  --file <path>                 definition of any status API that answers JSON; - reads standard input
  --preset <name>               ${presetNames.join(", ")}
  --set <name>=<value>          value of the placeholder {name} of the file or preset; may be repeated
  --header-env <header>=<variable>   value of a header of the file or preset, from an environment variable; may be repeated
  --map <word>=<status>         meaning of a word of the upstream; <word>= takes it away; may be repeated
  --max-polls-per-second <n>    over all instances; 200 for a new source
  --account <account>           the only one that may use it, by id or name; everybody unless given`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, {
      texts: [
        "kind",
        "base-url",
        "credential",
        "credential-env",
        "agent-id",
        "environment",
        "max-polls-per-second",
        "account",
        "file",
        "preset",
      ],
      lists: ["set", "header-env", "map"],
      switches: ["credential-stdin"],
      positionals: ["<name>"],
    });
    const [name = ""] = positionals;
    const prepared = await readSourceFile(values);
    const addressFlags = ["kind", "base-url", "credential", "credential-env", "agent-id", "environment"] as const;
    const surplus =
      prepared === null ? undefined : [...addressFlags, "credential-stdin" as const].find((flag) => values[flag] !== undefined);
    if (surplus !== undefined) throw new UsageError(`--${surplus} is for sources without --file and --preset`);
    const credential = await readCredential(values);
    const kind = values.kind === undefined ? undefined : readKind(values.kind);
    const rate = values["max-polls-per-second"];
    const given = {
      kind,
      baseUrl: values["base-url"],
      credential,
      agentId: values["agent-id"],
      environment: values.environment,
      ...prepared,
      maxPollsPerSecond: rate === undefined ? prepared?.maxPollsPerSecond : readNumber(rate),
    };
    await using administration = await openAdministration();
    const account = values.account === undefined ? undefined : await administration.account(values.account);
    const statusMapChanges = readMap(values.map ?? [], await kindOf(administration.store, name, given.kind));
    const change = Object.fromEntries(
      Object.entries({ ...given, accountId: account?.id, statusMapChanges }).filter(([, value]) => value !== undefined),
    );
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
    case "removed":
      throw new Error(
        `source ${name} was removed at ${isoTime(outcome.removedAtMs)}; its name is free RETENTION_DAYS later, so choose another name`,
      );
    case "conflict":
      throw new Error(`source ${name} was changed concurrently; check it and retry`);
  }
}

/** Returns the kind that the source will have. */
async function kindOf(store: Pick<SourceStore, "listSources">, name: string, given: string | undefined): Promise<UpstreamKind> {
  const kindName = given ?? (await store.listSources()).find((source) => source.name === name)?.kind;
  return upstreamKinds.find((kind) => kind.name === kindName) ?? upstreamKinds[0];
}

function readMap(entries: readonly string[], { fixedWords }: UpstreamKind): StatusMapChanges | undefined {
  if (entries.length === 0) return undefined;
  return Object.fromEntries(
    entries.map((text) => {
      const entry = parseMapEntry(text, fixedWords);
      if (entry.kind === "invalid") throw new UsageError(`--map ${entry.detail}`);
      return [entry.word, entry.status] as const;
    }),
  );
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

import { readFile } from "node:fs/promises";
import { presetNames, readPreset } from "../../adapters/json/presets.ts";
import { prepareSource } from "../../adapters/json/prepare-source.ts";
import type { PreparedSource } from "../../adapters/json/prepare-source.ts";
import { readVariable, resolveFromCaller } from "../../service/config.ts";
import { readStandardInput, UsageError } from "../command.ts";

export type SourceFileFlags = {
  readonly file?: string | undefined;
  readonly preset?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly "header-env"?: readonly string[] | undefined;
};

/** Returns the settings that `--file` or `--preset` describes; `null` if neither is given. */
export async function readSourceFile(flags: SourceFileFlags): Promise<PreparedSource | null> {
  const { file, preset, set = [], "header-env": headerEnv = [] } = flags;
  if (file !== undefined && preset !== undefined) throw new UsageError("--file and --preset exclude each other");
  if (file === undefined && preset === undefined) {
    if (set.length + headerEnv.length > 0) throw new UsageError("--set and --header-env fill the placeholders of --file or --preset");
    return null;
  }
  const texts = Object.fromEntries(set.map((entry) => pairOf("--set", entry)));
  if ("id" in texts) throw new UsageError("--set: {id} is the SID of the call and has no value here");
  const headers = Object.fromEntries(
    headerEnv.map((entry) => {
      const [name, variable] = pairOf("--header-env", entry);
      const value = readVariable(variable);
      if (value === null) throw new UsageError(`--header-env: ${variable} is not set`);
      return [name, value];
    }),
  );
  const prepared = prepareSource(await textOf(file, preset), { texts, headers });
  if (prepared.kind === "prepared") return prepared.source;
  const where = preset === undefined ? "--file" : `--preset ${preset}`;
  throw new UsageError(
    prepared.faults.map(({ pointer, detail }) => `${where}: ${pointer === "" ? "the file" : pointer} ${detail}`).join("; "),
  );
}

async function textOf(file: string | undefined, preset: string | undefined): Promise<string> {
  if (preset !== undefined) {
    const text = readPreset(preset);
    if (text === null) throw new UsageError(`--preset must be ${presetNames.join(", ")}`);
    return text;
  }
  if (file === "-") return (await readStandardInput()).toString("utf8");
  try {
    return await readFile(resolveFromCaller(file ?? ""), "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new UsageError(`--file: ${file ?? ""} cannot be read (${code})`);
  }
}

function pairOf(flag: string, entry: string): readonly [name: string, value: string] {
  const separator = entry.indexOf("=");
  if (separator < 1 || separator === entry.length - 1) throw new UsageError(`${flag} must be <name>=<value>`);
  return [entry.slice(0, separator), entry.slice(separator + 1)];
}

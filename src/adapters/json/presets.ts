import { readFileSync } from "node:fs";

/** Definitions of known APIs, in `presets/`. */
export const presetNames = ["twilio", "vapi", "retell", "bland", "github-actions"] as const;
export type PresetName = (typeof presetNames)[number];

/** Returns the file of a preset; `null` if there is none of this name. */
export function readPreset(name: string): string | null {
  const preset = presetNames.find((candidate) => candidate === name);
  return preset === undefined ? null : readFileSync(new URL(`presets/${preset}.json`, import.meta.url), "utf8");
}

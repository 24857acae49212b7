import { parseDefinition, storedDefinition } from "./definition.ts";
import type { DefinitionFault, Fills } from "./placeholders.ts";
import { shownAddress } from "./target.ts";

/** Settings of a source, as a definition has them. */
export type PreparedSource = {
  readonly kind: "json";
  readonly definition: string;
  /** The values of the headers, to be sealed. */
  readonly credential: string;
  /** Address without its query, to be shown. */
  readonly baseUrl: string;
  readonly maxPollsPerSecond: number;
};

/** Returns the settings of a source from its file. */
export function prepareSource(
  file: string,
  fills: Fills,
):
  | { readonly kind: "prepared"; readonly source: PreparedSource }
  | { readonly kind: "invalid"; readonly faults: readonly DefinitionFault[] } {
  const parsed = parseDefinition(file, fills);
  if (parsed.kind === "invalid") return parsed;
  const { url, max_polls_per_second: maxPollsPerSecond } = parsed.definition;
  const stored = storedDefinition(parsed.definition);
  return { kind: "prepared", source: { kind: "json", ...stored, baseUrl: shownAddress(url), maxPollsPerSecond } };
}

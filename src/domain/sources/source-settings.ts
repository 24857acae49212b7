import { httpUrlFault } from "../webhooks/http-url.ts";
import { sandboxSourceName } from "./sandbox.ts";
import { statusMapMaxWords } from "./status-map.ts";

/** Name of the source of the environment. Accounts that were created with access to it may use it. */
export const defaultSourceName = "default";

/** Settings that only some kinds have: their environment variable for the source `default`, and their flag of `source set`. */
export const kindFields = {
  agentId: { variable: "POLYAI_AGENT_ID", flag: "--agent-id" },
  environment: { variable: "POLYAI_ENVIRONMENT", flag: "--environment" },
} as const;
export type KindField = keyof typeof kindFields;
export const kindFieldNames = Object.keys(kindFields) as readonly KindField[];

/** A kind of upstream: the settings that its sources need. */
export type KindSettings = {
  /** Name of the kind, which is stored with every source and shown by the API. */
  readonly name: string;
  /** Fields that a source of this kind needs, besides base URL, credential and rate. */
  readonly fields: readonly KindField[];
  /** Environments that the API has. Any name is accepted if it is left out. */
  readonly environments?: readonly string[];
  /** Words of the upstream that the operator cannot map, in lower case. */
  readonly fixedWords: readonly string[];
  /** Whether a definition holds address and credential of its sources; then they have no base URL of their own. */
  readonly takesDefinition?: boolean;
};

/** Address and rate of a source; its credential is apart. */
export type SourceSettings = {
  /** Name of a kind. */
  readonly kind: string;
  /** http or https, without credentials, query or fragment. For sources with a definition the address without its query, to be shown. */
  readonly baseUrl: string;
  /** JSON that describes the API, without a secret; `null` unless the kind takes a definition. */
  readonly definition: string | null;
  /** JSON object of the operator's changes of the status map; `null` if there are none. */
  readonly statusMap: string | null;
  /** Number of polls a second, over all instances. */
  readonly maxPollsPerSecond: number;
  /** `null` if the kind has no such field. */
} & Readonly<Record<KindField, string | null>>;

export type SourceFault = { readonly field: "name" | "credential" | keyof SourceSettings; readonly detail: string };

export const pollsPerSecondRange = { min: 0.01, max: 100_000 };
export const defaultMaxPollsPerSecond = 200;

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;
const visibleAscii = /^[\x21-\x7e]+$/;

/**
 * Returns why a source cannot have this name; `null` if it can. Names occur in URLs (`ce-source`), metrics and events, so
 * they consist of plain characters. The names of the built-in sources are taken.
 */
function sourceNameFault(name: string): string | null {
  if (!namePattern.test(name)) return "must be 1 to 64 letters, digits, - or _";
  if (name === defaultSourceName) return "is the source of the environment (POLYAI_BASE_URL and its companions); choose another name";
  return name === sandboxSourceName ? "is the built-in source; choose another name" : null;
}

/** Returns why a credential does not fit into a header; `null` if it does. The text never contains the credential. */
export function credentialFault(credential: string): string | null {
  return visibleAscii.test(credential) ? null : "must be visible ASCII characters without spaces";
}

const agentIdPattern = /^(?!\.{1,2}$)[A-Za-z0-9_.:~-]{1,128}$/;

/** Returns why a text cannot be the id of an agent, which is one segment of a path; `null` if it can. */
export function agentIdFault(agentId: string): string | null {
  return agentIdPattern.test(agentId) ? null : "must be 1 to 128 letters, digits, _, -, ., : or ~, and neither . nor ..";
}

/** Returns why a kind has no environment of this name; `null` if it has. */
export function environmentNameFault(environment: string, { name, environments }: KindSettings): string | null {
  return environments === undefined || environments.includes(environment) ? null : `must be ${environments.join(", ")} for ${name}`;
}

/** Returns every fault of a source's settings; empty if it can be used. `kinds` lists all supported kinds. */
export function sourceFaults(
  name: string,
  settings: SourceSettings,
  credential: string,
  kinds: readonly KindSettings[],
): readonly SourceFault[] {
  const faults: SourceFault[] = [];
  const check = (field: SourceFault["field"], detail: string | null) => {
    if (detail !== null) faults.push({ field, detail });
  };
  check("name", sourceNameFault(name));
  check("kind", kinds.some((kind) => kind.name === settings.kind) ? null : `must be ${kinds.map((kind) => kind.name).join(" or ")}`);
  const takesDefinition = kinds.some((kind) => kind.name === settings.kind && kind.takesDefinition === true);
  if (takesDefinition) check("definition", settings.definition === null ? `is missing: ${settings.kind} needs it` : null);
  else {
    check("baseUrl", httpUrlFault(settings.baseUrl));
    check("credential", credentialFault(credential));
  }
  check("statusMap", statusMapFault(settings.statusMap));
  for (const field of kindFieldNames) check(field, kindFieldFault(field, settings, kinds));
  const { min, max } = pollsPerSecondRange;
  const { maxPollsPerSecond } = settings;
  check("maxPollsPerSecond", maxPollsPerSecond >= min && maxPollsPerSecond <= max ? null : `must be a number from ${min} to ${max}`);
  return faults;
}

function statusMapFault(statusMap: string | null): string | null {
  if (statusMap === null || Object.keys(JSON.parse(statusMap) as object).length <= statusMapMaxWords) return null;
  return `must change at most ${statusMapMaxWords} words`;
}

/** Lists the kinds that have a field, as in "polyai-agents". */
export function kindsWith(field: KindField, kinds: readonly KindSettings[]): string {
  return kinds
    .filter(({ fields }) => fields.includes(field))
    .map(({ name }) => name)
    .join(" or ");
}

function kindFieldFault(field: KindField, settings: SourceSettings, kinds: readonly KindSettings[]): string | null {
  const value = settings[field];
  const kind = kinds.find(({ name, fields }) => name === settings.kind && fields.includes(field));
  if (kind === undefined) return value === null ? null : `is for ${kindsWith(field, kinds)} alone`;
  if (value === null || value === "") return `is missing: ${settings.kind} needs it`;
  return field === "environment" ? environmentNameFault(value, kind) : agentIdFault(value);
}

import { httpUrlFault } from "../webhooks/http-url.ts";
import { sandboxSourceName } from "./sandbox.ts";

/** The source of the environment; the accounts made for it may use it. */
export const defaultSourceName = "default";

export const upstreamKinds = ["polyai-legacy", "polyai-agents"] as const;
export type UpstreamKind = (typeof upstreamKinds)[number];

/** Where a source polls and how fast; its credential is apart. */
export type SourceSettings = {
  readonly kind: UpstreamKind;
  /** http or https, without credentials, query or fragment. */
  readonly baseUrl: string;
  /** `polyai-agents` alone, and needed there. */
  readonly agentId: string | null;
  readonly environment: string | null;
  /** Over all instances. */
  readonly maxPollsPerSecond: number;
};

export type SourceFault = { readonly field: "name" | "credential" | keyof SourceSettings; readonly detail: string };

export const pollsPerSecondRange = { min: 0.01, max: 100_000 };
export const defaultMaxPollsPerSecond = 200;

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;
const visibleAscii = /^[\x21-\x7e]+$/;

/** A name stands in URLs (`ce-source`), metrics and events, so it is plain; those of the sources that are no rows are taken. */
function sourceNameFault(name: string): string | null {
  if (!namePattern.test(name)) return "must be 1 to 64 letters, digits, - or _";
  if (name === defaultSourceName) return "is the source of the environment (POLYAI_BASE_URL and its companions); choose another name";
  return name === sandboxSourceName ? "is the built-in source; choose another name" : null;
}

/** What a credential must be to fit into a header; never repeats it. */
export function credentialFault(credential: string): string | null {
  return visibleAscii.test(credential) ? null : "must be visible ASCII characters without spaces";
}

/** Everything that is wrong with the settings of a source, as a whole. */
export function sourceFaults(name: string, settings: SourceSettings, credential: string): readonly SourceFault[] {
  const faults: SourceFault[] = [];
  const check = (field: SourceFault["field"], detail: string | null) => {
    if (detail !== null) faults.push({ field, detail });
  };
  check("name", sourceNameFault(name));
  check("baseUrl", httpUrlFault(settings.baseUrl));
  check("credential", credentialFault(credential));
  for (const field of ["agentId", "environment"] as const) check(field, agentFieldFault(settings.kind, settings[field]));
  const { min, max } = pollsPerSecondRange;
  const { maxPollsPerSecond } = settings;
  check("maxPollsPerSecond", maxPollsPerSecond >= min && maxPollsPerSecond <= max ? null : `must be a number from ${min} to ${max}`);
  return faults;
}

function agentFieldFault(kind: UpstreamKind, value: string | null): string | null {
  if (kind === "polyai-legacy") return value === null ? null : "is for polyai-agents alone";
  return value === null || value === "" ? "is missing: polyai-agents needs it" : null;
}

import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { Config, Secrets } from "../../service/config.ts";
import type { Administration } from "../commands/administration.ts";
import { checkSource } from "../commands/checked-source.ts";
import { bad, good, reasonOf } from "./finding.ts";
import type { Finding } from "./finding.ts";

const atOnce = 8;
const maxSkewMs = 60_000;

type Named = { readonly name: string; readonly settings: SourceSettings; readonly credential: string };
type Checked = { readonly finding: Finding; readonly skewMs: number | null };

/** Polls every source once, and compares the clock with the upstreams'. `administration` is `null` without a database. */
export async function checkSources(
  { source }: Pick<Config, "source">,
  { upstreamCredential }: Pick<Secrets, "upstreamCredential">,
  administration: Administration | null,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const named: Named[] = [];
  if (source !== null && upstreamCredential !== null)
    named.push({ name: defaultSourceName, settings: source, credential: upstreamCredential });
  try {
    named.push(...(administration === null ? [] : await storedSources(administration)));
  } catch (error) {
    findings.push(bad("source", `stored sources cannot be read: ${reasonOf(error)}`, "set the encryption key that they were stored with"));
  }
  if (named.length === 0 && findings.length === 0)
    findings.push(
      good(
        "source",
        "sandbox alone: no upstream is configured (POLYAI_BASE_URL and its companions, or npm run ringback -- source set <name>), so no other call can be watched",
      ),
    );
  const skews: number[] = [];
  for (let from = 0; from < named.length; from += atOnce)
    for (const { finding, skewMs } of await Promise.all(named.slice(from, from + atOnce).map(checkOne))) {
      findings.push(finding);
      if (skewMs !== null) skews.push(skewMs);
    }
  return [...findings, clockFinding(skews)];
}

async function storedSources(administration: Administration): Promise<readonly Named[]> {
  const stored = (await administration.store.listSources()).filter(({ removedAtMs }) => removedAtMs === null);
  if (stored.length === 0) return [];
  const { secretBox } = await administration.keyring();
  return stored.map(({ id, name, sealedCredential, ...settings }) => ({
    name,
    settings,
    credential: secretBox.open(sealedCredential, associatedData("credential", id)),
  }));
}

async function checkOne({ name, settings, credential }: Named): Promise<Checked> {
  const check = `source ${name}`;
  try {
    const { ok, text, observation, upstreamDateMs } = await checkSource(settings, credential, undefined);
    const skewMs = upstreamDateMs === null ? null : Date.now() - upstreamDateMs;
    return { finding: ok ? good(check, text) : bad(check, text, remedies[observation] ?? remedies["failed"] ?? ""), skewMs };
  } catch (error) {
    return { finding: good(check, `not polled: ${reasonOf(error)}`), skewMs: null };
  }
}

const remedies: Readonly<Record<string, string>> = {
  unauthorized: "correct the credential (POLYAI_AUTH_TOKEN or POLYAI_API_KEY; source set for the others)",
  rate_limited: "lower the rate of the source, or try again later",
  not_started: "free sockets and files of this machine",
  failed: "correct the base URL (POLYAI_BASE_URL; source set for the others), or see whether the upstream can be reached from here",
};

function clockFinding(skews: readonly number[]): Finding {
  const [worst] = skews.toSorted((a, b) => Math.abs(b) - Math.abs(a));
  if (worst === undefined) return good("clock", `${new Date().toISOString()}, with no upstream's time to compare it with`);
  const detail = `${Math.round(Math.abs(worst) / 1000)} s ${worst < 0 ? "behind" : "ahead of"} the upstream's`;
  return Math.abs(worst) <= maxSkewMs
    ? good("clock", detail)
    : bad("clock", detail, "set the clock of this machine (NTP): receivers refuse webhooks whose time is 5 minutes off");
}

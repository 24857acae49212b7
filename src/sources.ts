import { PolyaiSource } from "./adapters/polyai/polyai-source.ts";
import type { Config, Secrets } from "./config.ts";
import { sandboxSourceName } from "./domain/sandbox.ts";
import type { SourceSetup } from "./engine/polled-source.ts";
import type { RegistrableSource } from "./engine/registrar.ts";
import type { Clock } from "./ports/clock.ts";
import { SandboxSource, sandboxPolling } from "./simulator/sandbox-source.ts";

export type Sources = { readonly setups: readonly SourceSetup[]; readonly registrable: ReadonlyMap<string, RegistrableSource> };

const backoffMinMs = 2000;
const backoffMaxMs = 60_000;
const statusRetentionMs = 2 * 60 * 60 * 1000;
const tenMinutesMs = 10 * 60 * 1000;

/** The sources of this service: the operator's `default`, if there is one, and the sandbox. */
export function createSources(config: Config, secrets: Secrets, clock: Clock): Sources {
  const sandbox = new SandboxSource({ clock });
  const setups: SourceSetup[] = [sandboxSetup(sandbox)];
  const registrable: RegistrableSource[] = [
    {
      name: sandboxSourceName,
      scopeOf: (account) => account.id,
      mayUse: () => true,
      startsAnew: (scope, callSid) => sandbox.isOver(scope, callSid),
      restarted: (scope, callSid) => sandbox.restart(scope, callSid),
    },
  ];
  if (config.source !== null && secrets.upstreamCredential !== null) {
    setups.unshift(defaultSetup(config, config.source, secrets.upstreamCredential, clock));
    registrable.push({
      name: "default",
      scopeOf: () => "",
      mayUse: (account) => account.usesDefaultSource,
      startsAnew: () => false,
      restarted: () => undefined,
    });
  }
  return { setups, registrable: new Map(registrable.map((source) => [source.name, source])) };
}

function defaultSetup(config: Config, source: NonNullable<Config["source"]>, credential: string, clock: Clock): SourceSetup {
  const { polling } = config;
  return {
    source: { id: "src_default", name: "default", kind: source.kind, maxPollsPerSecond: source.maxPollsPerSecond },
    callSource: new PolyaiSource({ ...source, credential }, clock),
    intervalMinMs: polling.intervalMinMs,
    intervalMaxMs: polling.intervalMaxMs,
    policy: {
      notFoundGraceMs: polling.notFoundGraceMs,
      lostAfterMs: polling.lostAfterMs,
      statusRetentionMs,
      backoffMinMs,
      backoffMaxMs,
      witnessMs: tenMinutesMs,
      unwitnessedEndMs: tenMinutesMs,
    },
  };
}

function sandboxSetup(sandbox: SandboxSource): SourceSetup {
  const { intervalMinMs, intervalMaxMs, maxPollsPerSecond, ...policy } = sandboxPolling;
  return {
    source: { id: "src_sandbox", name: sandboxSourceName, kind: "sandbox", maxPollsPerSecond },
    callSource: sandbox,
    policy,
    intervalMinMs,
    intervalMaxMs,
  };
}

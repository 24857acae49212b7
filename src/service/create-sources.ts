import { AnswerBudget } from "../adapters/http-client/answer-budget.ts";
import { UpstreamNames } from "../adapters/http-client/upstream-names.ts";
import { protocolOf, upstreamKinds } from "../adapters/upstream/kinds.ts";
import { UpstreamSource } from "../adapters/upstream/upstream-source.ts";
import type { Config, Secrets } from "./config.ts";
import { sandboxSourceName } from "../domain/sources/sandbox.ts";
import { defaultSourceName } from "../domain/sources/source-settings.ts";
import type { CreateSetup } from "../engine/polling/source-reloader.ts";
import type { SourceSetup } from "../engine/sources/polled-source.ts";
import type { RegistrableSource } from "../engine/sources/registrable-source.ts";
import type { Clock } from "../ports/clock.ts";
import { SandboxSource, sandboxPolling } from "../simulator/sandbox-source.ts";

export type Sources = {
  readonly setups: readonly SourceSetup[];
  /** Sources by name; those that are set at runtime are added here. */
  readonly registrable: Map<string, RegistrableSource>;
  readonly setupOf: CreateSetup;
  /** Ends the look-ups of upstream names. */
  close(): void;
};

/** Names of the kinds that a source of the service can have. */
export const sourceKinds: readonly string[] = [...upstreamKinds.map(({ name }) => name), sandboxSourceName];

const backoffMinMs = 2000;
const backoffMaxMs = 60_000;
const statusRetentionMs = 2 * 60 * 60 * 1000;
const tenMinutesMs = 10 * 60 * 1000;

/**
 * Creates the sources of every start: `default` if it is configured, and the sandbox. `setupOf` creates the sources that
 * are set at runtime.
 */
export function createSources(config: Config, secrets: Secrets, clock: Clock): Sources {
  const sandbox = new SandboxSource({ clock });
  const names = new UpstreamNames({ servers: config.callbacks.dnsServers });
  const setupOf = setupsWith(config, clock, names, new AnswerBudget());
  const setups: SourceSetup[] = [sandboxSetup(sandbox)];
  const registrable: RegistrableSource[] = [
    {
      name: sandboxSourceName,
      soleAccountId: null,
      sidFault: (callSid) => sandbox.sidFault(callSid),
      scopeOf: (account) => account.id,
      mayUse: () => true,
      replayable: (scope, callSid) => sandbox.isOver(scope, callSid),
      restart: (scope, callSid) => sandbox.restart(scope, callSid),
    },
  ];
  if (config.source !== null && secrets.upstreamCredential !== null) {
    const setup = setupOf({ id: "src_default", name: defaultSourceName, ...config.source }, secrets.upstreamCredential);
    setups.unshift(setup);
    registrable.push({
      name: defaultSourceName,
      soleAccountId: null,
      sidFault: (callSid) => setup.callSource.sidFault(callSid),
      scopeOf: () => "",
      mayUse: (account) => account.usesDefaultSource,
      replayable: () => false,
      restart: () => undefined,
    });
  }
  return { setups, registrable: new Map(registrable.map((source) => [source.name, source])), setupOf, close: () => names.close() };
}

/** Returns the function that creates setups. Intervals and waits are the same for all sources except the sandbox. */
function setupsWith({ polling }: Config, clock: Clock, names: UpstreamNames, budget: AnswerBudget): CreateSetup {
  return ({ id, name, ...settings }, credential) => ({
    source: { id, name, kind: settings.kind, maxPollsPerSecond: settings.maxPollsPerSecond },
    callSource: new UpstreamSource(protocolOf(settings, credential), clock, { names, room: budget.room() }),
    intervalMinMs: polling.intervalMinMs,
    intervalMaxMs: polling.intervalMaxMs,
    policy: {
      notFoundGraceMs: polling.notFoundGraceMs,
      lostAfterMs: polling.lostAfterMs,
      statusRetentionMs,
      backoffMinMs,
      backoffMaxMs,
      corroborationMs: tenMinutesMs,
      uncorroboratedEndMs: tenMinutesMs,
    },
  });
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

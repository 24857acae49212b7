import { sandboxSourceName } from "../../domain/sources/sandbox.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import { messageOf } from "../../domain/error-text.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SourceStore, StoredSource } from "../../ports/stores/source-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { SourceSetup } from "../sources/polled-source.ts";
import type { Poller } from "./poller.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";

/** Creates the setup of a stored source; throws if no request can be built from its settings. */
export type CreateSetup = (source: { readonly id: string; readonly name: string } & SourceSettings, credential: string) => SourceSetup;

export type SourceReloaderOptions = {
  readonly store: SourceStore;
  readonly secretBox: SecretBox;
  readonly logger: Logger;
  readonly setupOf: CreateSetup;
  readonly poller: Pick<Poller, "addSource" | "replaceUpstream" | "setSourceRate">;
  /** Sources by name: initially those of the environment. The reloader adds those of the store. */
  readonly registrable: Map<string, RegistrableSource>;
};

type KnownSource = { readonly revision: number; /** `null` if the settings could not be used. */ readonly applied: AppliedSettings | null };
type AppliedSettings = { readonly upstream: string; readonly maxPollsPerSecond: number };

const builtIn: ReadonlySet<string> = new Set([defaultSourceName, sandboxSourceName]);

/**
 * Follows the sources that the operator sets while the service runs: adds new ones and applies changes from the next
 * poll on. A source that cannot be used (its credential does not open) is logged and keeps its previous settings.
 */
export class SourceReloader {
  readonly #options: SourceReloaderOptions;
  readonly #known = new Map<string, KnownSource>();
  /** Short enough that a change applies within 5 s. */
  readonly tickEveryMs = 2000;

  constructor(options: SourceReloaderOptions) {
    this.#options = options;
  }

  /** Applies every change since the last call. Rejects while the store is unavailable. */
  async refresh(): Promise<void> {
    for (const source of await this.#options.store.listSources()) {
      const known = this.#known.get(source.id);
      if (known?.revision === source.revision || builtIn.has(source.name)) continue;
      this.#known.set(source.id, { revision: source.revision, applied: this.#apply(source, known?.applied ?? null) });
    }
  }

  #apply(source: StoredSource, before: AppliedSettings | null): AppliedSettings | null {
    const { poller, logger, registrable, setupOf, secretBox } = this.#options;
    const { id, name, kind, baseUrl, agentId, environment, maxPollsPerSecond } = source;
    try {
      const credential = secretBox.open(source.sealedCredential, associatedData("credential", id));
      const applied = { upstream: JSON.stringify([kind, baseUrl, agentId, environment, credential]), maxPollsPerSecond };
      if (before === null) poller.addSource(setupOf(source, credential));
      else if (before.upstream !== applied.upstream) poller.replaceUpstream(setupOf(source, credential));
      if (before !== null && before.maxPollsPerSecond !== maxPollsPerSecond) poller.setSourceRate(name, maxPollsPerSecond);
      registrable.set(name, registrableSource(source));
      logger.info({ source: name, kind, revision: source.revision }, before === null ? "source.added" : "source.changed");
      return applied;
    } catch (error) {
      logger.error({ source: name, revision: source.revision, error: messageOf(error) }, "source.unusable");
      return before;
    }
  }
}

function registrableSource({ name, accountId }: StoredSource): RegistrableSource {
  return {
    name,
    scopeOf: () => "",
    mayUse: (account) => accountId === null || account.id === accountId,
    replayable: () => false,
    restart: () => undefined,
  };
}

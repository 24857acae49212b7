import { sandboxSourceName } from "../../domain/sources/sandbox.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";
import { messageOf } from "../../domain/error-text.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SourceStore, StoredSource } from "../../ports/stores/source-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { SourceSetup } from "../sources/polled-source.ts";
import type { Poller } from "./poller.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";

/** How a source that was set is polled; throws where no request can be made of it. */
export type CreateSetup = (source: { readonly id: string; readonly name: string } & SourceSettings, credential: string) => SourceSetup;

export type SourceReloaderOptions = {
  readonly store: SourceStore;
  readonly secretBox: SecretBox;
  readonly logger: Logger;
  readonly setupOf: CreateSetup;
  readonly poller: Pick<Poller, "addSource" | "replaceUpstream" | "setSourceRate">;
  /** By name; sources that are found are added to it, those of the environment are there already. */
  readonly registrable: Map<string, RegistrableSource>;
};

type Known = { readonly revision: number; /** null: it could not be used as it was. */ readonly used: Used | null };
type Used = { readonly upstream: string; readonly maxPollsPerSecond: number };

const builtIn: ReadonlySet<string> = new Set([defaultSourceName, sandboxSourceName]);

/**
 * Follows the sources that the operator sets while the service runs: new ones may be used, changed ones are polled
 * another way from the next poll on. One that cannot be used (its credential does not open) is logged and leaves what
 * was there before as it is.
 */
export class SourceReloader {
  readonly #options: SourceReloaderOptions;
  readonly #known = new Map<string, Known>();
  /** A change is noticed within 5 s. */
  readonly tickEveryMs = 2000;

  constructor(options: SourceReloaderOptions) {
    this.#options = options;
  }

  /** Everything that changed since the last time. Rejects while the store cannot be read. */
  async refresh(): Promise<void> {
    for (const source of await this.#options.store.listSources()) {
      const known = this.#known.get(source.id);
      if (known?.revision === source.revision || builtIn.has(source.name)) continue;
      this.#known.set(source.id, { revision: source.revision, used: this.#use(source, known?.used ?? null) });
    }
  }

  /** The same, but a store that is away for a while is waited for. */
  async tick(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      this.#options.logger.debug({ error: error.code }, "source.refresh_failed");
    }
  }

  #use(source: StoredSource, before: Used | null): Used | null {
    const { poller, logger, registrable, setupOf, secretBox } = this.#options;
    const { id, name, kind, baseUrl, agentId, environment, maxPollsPerSecond } = source;
    try {
      const credential = secretBox.open(source.sealedCredential, associatedData("credential", id));
      const used = { upstream: JSON.stringify([kind, baseUrl, agentId, environment, credential]), maxPollsPerSecond };
      if (before === null) poller.addSource(setupOf(source, credential));
      else if (before.upstream !== used.upstream) poller.replaceUpstream(setupOf(source, credential));
      if (before !== null && before.maxPollsPerSecond !== maxPollsPerSecond) poller.setSourceRate(name, maxPollsPerSecond);
      registrable.set(name, registrableSource(source));
      logger.info({ source: name, kind, revision: source.revision }, before === null ? "source.added" : "source.changed");
      return used;
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

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
  readonly store: Pick<SourceStore, "listSources">;
  readonly secretBox: SecretBox;
  readonly logger: Logger;
  readonly setupOf: CreateSetup;
  readonly poller: Pick<Poller, "addSource" | "replaceUpstream" | "setSourceRate" | "endSource">;
  /** Sources by name: initially those of the environment. The reloader adds those of the store. */
  readonly registrable: Map<string, RegistrableSource>;
};

type KnownSource = { readonly revision: number; /** `null` if the settings could not be used. */ readonly applied: AppliedSettings | null };
type AppliedSettings = { readonly upstream: string; readonly maxPollsPerSecond: number; readonly sidFault: RegistrableSource["sidFault"] };

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
      if (source.removedAtMs !== null) {
        this.#remove(source, known);
        continue;
      }
      if (known?.revision === source.revision || builtIn.has(source.name)) continue;
      this.#known.set(source.id, { revision: source.revision, applied: this.#apply(source, known?.applied ?? null) });
    }
  }

  /** Forgets a removed source, and ends its watches, those of calls that arrive late too. */
  #remove({ id, name, revision }: StoredSource, known: KnownSource | undefined): void {
    const { poller, logger, registrable } = this.#options;
    if (known?.revision !== revision) {
      this.#known.set(id, { revision, applied: null });
      registrable.delete(name);
      if (known !== undefined) logger.info({ source: name, revision }, "source.removed");
    }
    poller.endSource(name);
  }

  #apply(source: StoredSource, before: AppliedSettings | null): AppliedSettings | null {
    const { poller, logger, registrable, setupOf, secretBox } = this.#options;
    const { id, name, kind, baseUrl, agentId, environment, definition, statusMap, maxPollsPerSecond } = source;
    try {
      const credential = secretBox.open(source.sealedCredential, associatedData("credential", id));
      const upstream = JSON.stringify([kind, baseUrl, agentId, environment, definition, statusMap, credential]);
      const setup = before?.upstream === upstream ? null : setupOf(source, credential);
      if (setup !== null && before === null) poller.addSource(setup);
      else if (setup !== null) poller.replaceUpstream(setup);
      const callSource = setup?.callSource;
      const sidFault = callSource === undefined ? (before?.sidFault ?? noFault) : (callSid: string) => callSource.sidFault(callSid);
      const applied = { upstream, maxPollsPerSecond, sidFault };
      if (before !== null && before.maxPollsPerSecond !== maxPollsPerSecond) poller.setSourceRate(name, maxPollsPerSecond);
      registrable.set(name, registrableSource(source, sidFault));
      logger.info({ source: name, kind, revision: source.revision }, before === null ? "source.added" : "source.changed");
      return applied;
    } catch (error) {
      logger.error({ source: name, revision: source.revision, error: messageOf(error) }, "source.unusable");
      return before;
    }
  }
}

const noFault = () => null;

function registrableSource({ name, accountId }: StoredSource, sidFault: RegistrableSource["sidFault"]): RegistrableSource {
  return {
    name,
    soleAccountId: accountId,
    sidFault,
    scopeOf: () => "",
    mayUse: (account) => accountId === null || account.id === accountId,
    replayable: () => false,
    restart: () => undefined,
  };
}

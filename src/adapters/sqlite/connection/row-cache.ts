import type { AttemptInput } from "../../../domain/deliveries/delivery-decision.ts";
import type { SendTarget } from "../../../ports/stores/send-job.ts";

/** An endpoint with its host, as attempts need them. Due bounds are not among it, because claims and waiting deliveries move them. */
export type CachedTarget = Pick<AttemptInput, "endpoint" | "host"> & {
  readonly key: number;
  readonly hostKey: number;
  /** Its secrets may have past ones among them. */
  readonly target: SendTarget;
};

/** Size at which the cache is emptied. A target takes about 2 kB. */
const maxTargets = 4096;

/**
 * Rows that nearly every webhook needs and that rarely change, kept between transactions. A statement that writes endpoints,
 * hosts, secrets or hooks names what it changed; a transaction that was rolled back, or that another connection committed,
 * empties the cache.
 */
export class RowCache {
  readonly #targets = new Map<number, CachedTarget>();
  readonly #endpointsByHost = new Map<number, Set<number>>();
  readonly #accountsWithoutHooks = new Set<number>();
  #dataVersion: unknown = null;
  #hasMarks: boolean | null = null;
  #disabledAccounts: ReadonlySet<number> | null = null;

  target(endpointKey: number): CachedTarget | undefined {
    return this.#targets.get(endpointKey);
  }

  keepTarget(target: CachedTarget): void {
    if (this.#targets.size >= maxTargets) this.#forgetTargets();
    this.#targets.set(target.key, target);
    const ofHost = this.#endpointsByHost.get(target.hostKey);
    if (ofHost === undefined) this.#endpointsByHost.set(target.hostKey, new Set([target.key]));
    else ofHost.add(target.key);
  }

  hasNoHooks(accountKey: number): boolean {
    return this.#accountsWithoutHooks.has(accountKey);
  }

  keepWithoutHooks(accountKey: number): void {
    if (this.#accountsWithoutHooks.size >= maxTargets) this.#accountsWithoutHooks.clear();
    this.#accountsWithoutHooks.add(accountKey);
  }

  /** The row of the endpoint changed. */
  forgetEndpoint(endpointKey: number): void {
    this.#targets.delete(endpointKey);
  }

  /** The row of the host changed. */
  forgetHost(hostKey: number): void {
    for (const endpointKey of this.#endpointsByHost.get(hostKey) ?? []) this.#targets.delete(endpointKey);
    this.#endpointsByHost.delete(hostKey);
  }

  /** A hook was added or enabled. */
  forgetHooks(): void {
    this.#accountsWithoutHooks.clear();
  }

  /** Whether any mark runs; `null` if that is not known. */
  hasMarks(): boolean | null {
    return this.#hasMarks;
  }

  keepHasMarks(hasMarks: boolean): void {
    this.#hasMarks = hasMarks;
  }

  /** A mark was set or ended. */
  forgetMarks(): void {
    this.#hasMarks = null;
  }

  /** Keys of the disabled accounts; `null` if they are not known. */
  disabledAccounts(): ReadonlySet<number> | null {
    return this.#disabledAccounts;
  }

  keepDisabledAccounts(accountKeys: ReadonlySet<number>): void {
    this.#disabledAccounts = accountKeys;
  }

  forgetAll(): void {
    this.#disabledAccounts = null;
    this.#forgetTargets();
    this.forgetHooks();
    this.forgetMarks();
  }

  /** Empties the cache if another connection has committed. `dataVersion` is that of the transaction that has begun. */
  noticeVersion(dataVersion: unknown): void {
    if (dataVersion !== this.#dataVersion) this.forgetAll();
    this.#dataVersion = dataVersion;
  }

  #forgetTargets(): void {
    this.#targets.clear();
    this.#endpointsByHost.clear();
  }
}

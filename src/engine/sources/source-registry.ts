import type { SourceHealth } from "../../domain/sources/source.ts";
import { PolledSource } from "./polled-source.ts";
import type { PollableCall, SourceDependencies, SourceSetup } from "./polled-source.ts";
import type { SharedGate } from "./source-gate.ts";

/** All sources of this process by name, including stand-ins for unconfigured ones. */
export class SourceRegistry<Call extends PollableCall> {
  readonly #dependencies: SourceDependencies;
  readonly #byName = new Map<string, PolledSource<Call>>();
  readonly #removed = new Set<string>();

  constructor(dependencies: SourceDependencies) {
    this.#dependencies = dependencies;
  }

  add(source: PolledSource<Call>): void {
    this.#byName.set(source.name, source);
  }

  get(name: string): PolledSource<Call> | undefined {
    return this.#byName.get(name);
  }

  all(): IterableIterator<PolledSource<Call>> {
    return this.#byName.values();
  }

  /** Returns the source of this name, or adds a stand-in if it is not configured. */
  named(name: string): PolledSource<Call> {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    this.#dependencies.logger.warn({ source: name }, "poll.source_unknown");
    const created = createStandIn<Call>(name, this.#dependencies);
    this.#byName.set(name, created);
    return created;
  }

  /**
   * Turns a source that was removed into a stand-in, once, and returns it. `null` if no call of this process has named it.
   * `calls` are all calls of the process.
   */
  removed(name: string, calls: Iterable<Call & { readonly source: PolledSource<Call> }>): PolledSource<Call> | null {
    const source = this.#byName.get(name) ?? null;
    this.#removed.add(name);
    if (source === null || source.isUnconfigured) return source;
    source.replaceUpstream(
      standInSetup(name),
      [...calls].filter((call) => call.source === source),
    );
    standIn(source, this.#dependencies);
    return source;
  }

  isRemoved(name: string): boolean {
    return this.#removed.has(name) && this.#byName.get(name)?.isUnconfigured !== false;
  }

  /** Gates of the configured sources by name. */
  get gates(): ReadonlyMap<string, SharedGate> {
    return new Map([...this.all()].filter(({ isUnconfigured }) => !isUnconfigured).map(({ name, gate }) => [name, gate]));
  }

  /** Number of calls that are kept here, for each unconfigured source. */
  get callsOfUnconfigured(): ReadonlyMap<string, number> {
    return new Map([...this.all()].filter(({ isUnconfigured }) => isUnconfigured).map(({ name, gate }) => [name, gate.rate.calls]));
  }

  /** Number of calls that are polled here, those of unconfigured sources excluded. */
  get callCount(): number {
    return [...this.gates.values()].reduce((sum, gate) => sum + gate.rate.calls, 0);
  }

  /** Whether `additional` more calls would stretch the account's interval on the source past half an hour. */
  isSaturated(name: string, accountId: string, additional: number): boolean {
    return this.#byName.get(name)?.gate.rate.isSaturatedBy(accountId, additional) ?? false;
  }

  /** Returns how long the oldest due poll has been due. */
  oldestDueMs(): number {
    let oldestMs = 0;
    for (const { gate } of this.all()) oldestMs = Math.max(oldestMs, gate.oldestDueMs());
    return oldestMs;
  }

  /** Returns the health of all sources, without those that were removed. */
  health(): readonly SourceHealth[] {
    return [...this.all()].filter(({ name }) => !this.isRemoved(name)).map((source) => source.gate.health());
  }

  /** Returns the health of all sources with the intervals of one account. */
  healthFor(accountId: string): readonly SourceHealth[] {
    return [...this.all()].map((source) => source.gate.healthFor(accountId));
  }

  /** Returns the difference of this machine's clock from the upstream's, for each source that has sent its time. */
  clockSkews(): readonly { readonly source: string; readonly skewMs: number }[] {
    return [...this.all()].flatMap((source) => (source.clockSkewMs === null ? [] : [{ source: source.name, skewMs: source.clockSkewMs }]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.all()].map((source) => source.close()));
  }
}

/**
 * Creates the stand-in (null object) for a source that is not configured but named by calls: a suspended source without
 * probes. Its calls keep their deadlines, and are polled once the source is configured.
 */
function createStandIn<Call extends PollableCall>(name: string, dependencies: SourceDependencies): PolledSource<Call> {
  const source = new PolledSource<Call>(standInSetup(name), dependencies);
  standIn(source, dependencies);
  return source;
}

function standIn<Call extends PollableCall>(source: PolledSource<Call>, dependencies: SourceDependencies): void {
  source.isUnconfigured = true;
  source.gate.adoptSuspension({ reason: "misconfigured", sinceMs: dependencies.clock.nowMs() });
  source.gate.setMayProbe(false);
}

/** Returns the setup of a stand-in. Only its name and interval are used, and its rate never refuses a registration. */
function standInSetup(name: string): SourceSetup {
  return {
    source: { id: "src_absent", name, kind: "unconfigured", maxPollsPerSecond: 100 },
    callSource: {
      poll: () => Promise.reject(new Error(`the source ${name} is not configured`)),
      sidFault: () => null,
      close: () => Promise.resolve(),
    },
    intervalMinMs: 2000,
    intervalMaxMs: 2000,
    policy: {
      notFoundGraceMs: 0,
      lostAfterMs: 0,
      statusRetentionMs: 0,
      backoffMinMs: 2000,
      backoffMaxMs: 2000,
      corroborationMs: 0,
      uncorroboratedEndMs: 0,
    },
  };
}

import type { SourceHealth } from "../../domain/sources/source.ts";
import { createUnconfiguredSource } from "./unconfigured-source.ts";
import type { PollableCall, PolledSource, SourceDependencies } from "./polled-source.ts";

/** All sources of this process by name, including stand-ins for unconfigured ones. */
export class SourceRegistry<Call extends PollableCall> {
  readonly #dependencies: SourceDependencies;
  readonly #byName = new Map<string, PolledSource<Call>>();

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
    const standIn = createUnconfiguredSource<Call>(name, this.#dependencies);
    this.add(standIn);
    return standIn;
  }

  health(): readonly SourceHealth[] {
    return [...this.#byName.values()].map((source) => source.gate.health());
  }

  /** Returns the own clock minus the upstream's for each source where it is known. */
  clockSkews(): readonly { readonly source: string; readonly skewMs: number }[] {
    return [...this.#byName.values()].flatMap((source) =>
      source.clockSkewMs === null ? [] : [{ source: source.name, skewMs: source.clockSkewMs }],
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byName.values()].map((source) => source.close()));
  }
}

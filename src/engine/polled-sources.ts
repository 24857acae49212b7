import type { SourceHealth } from "../domain/source.ts";
import type { WatchedCall } from "../ports/call-store.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { PolledSource } from "./polled-source.ts";

/** Every source of this process by its name. A call of another one waits until that is known. */
export class PolledSources {
  readonly #logger: Logger;
  readonly #byName = new Map<string, PolledSource>();
  /** Sources that calls wait for. */
  readonly #awaited = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(source: PolledSource): void {
    this.#byName.set(source.name, source);
  }

  get(name: string): PolledSource | undefined {
    return this.#byName.get(name);
  }

  all(): IterableIterator<PolledSource> {
    return this.#byName.values();
  }

  /** The source of a call; null when it is not known (yet), which is remembered. */
  of(call: WatchedCall): PolledSource | null {
    const source = this.#byName.get(call.sourceName);
    if (source !== undefined) return source;
    // Once for all its calls: there may be many.
    if (!this.#awaited.has(call.sourceName)) this.#logger.warn({ source: call.sourceName, call_id: call.callId }, "poll.source_unknown");
    this.#awaited.add(call.sourceName);
    return null;
  }

  /** Names of sources that calls have waited for and need not any more. */
  awaitedAndKnown(): ReadonlySet<string> {
    return new Set([...this.#awaited].filter((name) => this.#byName.has(name)));
  }

  takenUp(names: ReadonlySet<string>): void {
    for (const name of names) this.#awaited.delete(name);
  }

  health(): readonly SourceHealth[] {
    return [...this.#byName.values()].map((source) => source.gate.health());
  }

  /** Our clock less each upstream's, where known. */
  clockSkews(): readonly { readonly source: string; readonly skewMs: number }[] {
    return [...this.#byName.values()].flatMap((source) =>
      source.clockSkewMs === null ? [] : [{ source: source.name, skewMs: source.clockSkewMs }],
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byName.values()].map((source) => source.close()));
  }
}

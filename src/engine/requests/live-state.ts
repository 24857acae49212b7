import type { CallProgress } from "../../domain/calls/call.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { AwaitedChange, LiveState, WaitEnd } from "../../ports/use-cases/live-state.ts";
import type { StoreLifecycle } from "../../ports/stores/service-store.ts";
import type { LongPollWaiters } from "./long-poll-waiters.ts";
import type { Poller } from "../polling/poller.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";
import type { Supervisor } from "../runtime/supervisor.ts";

export type LiveStateReaderOptions = {
  readonly poller: Poller;
  readonly waiters: LongPollWaiters;
  readonly supervisor: Supervisor;
  readonly store: Pick<StoreLifecycle, "checkWritable">;
  readonly sources: ReadonlyMap<string, RegistrableSource>;
  readonly isStopping: () => boolean;
  /** False while a shared database is known to be unreachable, so that readiness need not query it. */
  readonly isStoreReachable?: () => boolean;
};

const degradedIntervalMs = 60_000;
const degradedSkewMs = 60_000;

/** Reads state that exists only in memory, for the API. */
export class LiveStateReader implements LiveState {
  readonly #options: LiveStateReaderOptions;

  constructor(options: LiveStateReaderOptions) {
    this.#options = options;
  }

  callProgress(callId: string, sourceName: string): CallProgress | null {
    return this.#options.poller.callProgress(callId, sourceName);
  }

  sources(account: Account): readonly SourceHealth[] {
    return this.#options.poller.sources
      .healthFor(account.id)
      .filter((health) => this.#options.sources.get(health.name)?.mayUse(account) === true);
  }

  changed(change: AwaitedChange, timeoutMs: number, signal: AbortSignal): Promise<WaitEnd> {
    return this.#options.waiters.wait(change, timeoutMs, signal);
  }

  async readiness(): Promise<{ readonly notReady: string | null; readonly degraded: readonly string[] }> {
    const degraded = this.#degraded();
    if (this.#options.isStopping()) return { notReady: "the service is stopping", degraded };
    const silent = this.#options.supervisor.silentLoops();
    if (silent.length > 0) return { notReady: `not ticking: ${silent.join(", ")}`, degraded };
    if (this.#options.isStoreReachable?.() === false) return { notReady: "the store cannot be reached", degraded };
    try {
      await this.#options.store.checkWritable();
      return { notReady: null, degraded };
    } catch {
      return { notReady: "the store cannot be written", degraded };
    }
  }

  #degraded(): readonly string[] {
    const { poller } = this.#options;
    const sources = poller.sources.health();
    return [
      ...sources
        .filter(({ state }) => state === "suspended" || state === "circuit_open")
        .map(({ name, state }) => `source ${name}: ${state}`),
      ...sources.filter(({ intervalMs }) => intervalMs > degradedIntervalMs).map(({ name }) => `source ${name}: interval over 60 s`),
      ...poller.sources
        .clockSkews()
        .filter(({ skewMs }) => Math.abs(skewMs) > degradedSkewMs)
        .map(({ source }) => `clock: over 60 s from that of source ${source}`),
    ];
  }
}

import type { CallProgress } from "../../domain/calls/call.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import type { DetectionDelays, SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterView } from "../../ports/stores/instance-store.ts";
import type { AwaitedChange, InstanceView, LiveState, WaitEnd } from "../../ports/use-cases/live-state.ts";
import type { StoreLifecycle } from "../../ports/stores/service-store.ts";
import type { LongPollWaiters } from "./long-poll-waiters.ts";
import type { Poller } from "../polling/poller.ts";
import { impliedSource } from "../sources/registrable-source.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";
import type { Supervisor } from "../runtime/supervisor.ts";

export type LiveStateReaderOptions = {
  readonly poller: Poller;
  readonly waiters: LongPollWaiters;
  readonly supervisor: Supervisor;
  readonly store: Pick<StoreLifecycle, "checkWritable">;
  readonly sources: ReadonlyMap<string, RegistrableSource>;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly isStopping: () => boolean;
  /** False while a shared database is known to be unreachable, so that readiness need not query it. */
  readonly isStoreReachable?: () => boolean;
  /** Instances that share the database, as of the last heartbeat; `null` if this process has it alone, or before the first. */
  readonly cluster?: () => ClusterView | null;
};

/** Time for which a successful check of the store answers further probes. */
const checkedForMs = 1000;
const degradedIntervalMs = 60_000;
const degradedSkewMs = 60_000;

/** Reads state that exists only in memory, for the API. */
export class LiveStateReader implements LiveState {
  readonly #options: LiveStateReaderOptions;
  /** The check of the store that is under way, if any. Anybody may probe, and each check is a write. */
  #checking: Promise<boolean> | null = null;
  #writableUntilMonotonicMs = -Infinity;

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

  allSources(): readonly SourceHealth[] {
    return this.#options.poller.sources.health();
  }

  instances(): readonly InstanceView[] {
    const cluster = this.#options.cluster?.() ?? null;
    if (cluster === null) return [{ token: null, isThis: true, shares: this.#ownShares() }];
    return cluster.instances.map(({ token, shares }) => ({
      token,
      isThis: token === cluster.token,
      shares: Object.entries(shares).map(([sourceName, { calls, ratePerSecond, lastGoodPollAtMs, oldestDuePollMs }]) => ({
        sourceName,
        calls,
        ratePerSecond,
        lastGoodPollAtMs,
        oldestDuePollMs,
      })),
    }));
  }

  #ownShares(): InstanceView["shares"] {
    return [...this.#options.poller.sources.gates].map(([sourceName, gate]) => {
      const { calls, lastGoodPollAtMs } = gate.share();
      return { sourceName, calls, ratePerSecond: gate.rate.grantPerSecond, lastGoodPollAtMs, oldestDuePollMs: gate.oldestDueMs() };
    });
  }

  oldestDuePollMs(): number {
    return this.#options.poller.sources.oldestDueMs();
  }

  detectionDelays(sourceName: string): DetectionDelays | null {
    return this.#options.poller.sources.get(sourceName)?.freshness?.delays ?? null;
  }

  impliedSourceName(account: Account): string {
    return impliedSource(this.#options.sources, account)?.name ?? defaultSourceName;
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
    const isWritable = this.#options.clock.monotonicMs() < this.#writableUntilMonotonicMs || (await (this.#checking ??= this.#check()));
    // The service may have begun to stop meanwhile.
    if (this.#options.isStopping()) return { notReady: "the service is stopping", degraded };
    return { notReady: isWritable ? null : "the store cannot be written", degraded };
  }

  async #check(): Promise<boolean> {
    const { store, clock } = this.#options;
    const startedMonotonicMs = clock.monotonicMs();
    try {
      await store.checkWritable();
      this.#writableUntilMonotonicMs = startedMonotonicMs + checkedForMs;
      return true;
    } catch {
      return false;
    } finally {
      this.#checking = null;
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

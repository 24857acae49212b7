import { isTransientStoreError } from "../../domain/errors.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { ClusterView, SourceShare } from "../../ports/stores/instance-store.ts";
import type { GateState, SharedSourceStore, SharedSuspension } from "../../ports/stores/shared-source-store.ts";
import type { GateShare, SharedGate } from "../sources/source-gate.ts";
import type { SourceChange } from "../sources/source-suspension.ts";

export type SourceStateSyncOptions = {
  readonly store: SharedSourceStore;
  /** By source, as they are now. */
  readonly gates: () => ReadonlyMap<string, SharedGate>;
  /** What another instance found was adopted: whoever waits may go, or is judged anew. */
  readonly onAdopted: (sourceName: string, change: SourceChange) => void;
  /** This instance was the first to see it: it tells the hooks. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
};

type Part = "suspension" | "throttle";
type State = {
  readonly unpublished: Set<Part>;
  /** To be told once the suspension is written. */
  event: { readonly health: SourceHealth; readonly change: "suspended" | "resumed" } | null;
  suspensionVersion: number;
  throttleVersion: number;
  /** Whether this instance was first in line for probes at the heartbeat before. */
  wasFirst: boolean;
};

/** What is still untold then is told with a later sweep. */
const triesAtOnce = 3;

const nobody: GateShare = { calls: 0, uncorroborated: 0, recentPolls: 0, recentFailures: 0, lastGoodPollAtMs: null };

/**
 * Suspension, circuit and throttle of a source hold for all instances. Whoever sees one first writes it; who comes too
 * late adopts what stands there instead. What cannot be written now (the store is away) is written with a later sweep.
 */
export class SourceStateSync {
  readonly #options: SourceStateSyncOptions;
  readonly #states = new Map<string, State>();
  #publishing: Promise<void> | null = null;

  constructor(options: SourceStateSyncOptions) {
    this.#options = options;
  }

  /** The gate learnt something. */
  changed(sourceName: string, part: Part): void {
    this.#stateOf(sourceName).unpublished.add(part);
    // What the same answer brought besides is part of it.
    queueMicrotask(() => void this.publish().catch(() => undefined));
  }

  /** The hooks are to hear of it if nobody was faster. */
  queueSourceEvent(health: SourceHealth, change: "suspended" | "resumed"): void {
    this.#stateOf(health.name).event = { health, change };
  }

  /** Writes what is not written yet, as far as the store can be reached. Rejects for bugs only. */
  publish(): Promise<void> {
    this.#publishing ??= this.#publishAll().finally(() => {
      this.#publishing = null;
    });
    return this.#publishing;
  }

  /** Gates as others wrote them. */
  adopt(rows: readonly GateState[]): void {
    for (const row of rows) this.#adopt(row);
  }

  /** After a heartbeat: what the others have of each source, and who probes it. */
  note({ token, instances }: ClusterView): void {
    for (const [name, gate] of this.#options.gates()) {
      gate.applyRemoteShares(together(instances.filter((other) => other.token !== token).map(({ shares }) => shares[name])));
      const state = this.#stateOf(name);
      const first = instances.find(({ shares }) => (shares[name]?.calls ?? 0) > 0);
      const isFirst = instances.length === 1 || first?.token === token;
      // At the second heartbeat in a row the one that probed before has heard of it.
      gate.setMayProbe(instances.length === 1 || (isFirst && state.wasFirst));
      state.wasFirst = isFirst;
    }
  }

  async #publishAll(): Promise<void> {
    for (const [name, state] of this.#states) {
      try {
        for (let tries = 0; state.unpublished.size > 0 && tries < triesAtOnce; tries++) await this.#publish(name, state);
      } catch (error) {
        if (!isTransientStoreError(error)) throw error;
      }
    }
  }

  async #publish(sourceName: string, state: State): Promise<void> {
    const { store, gates, onSourceChange } = this.#options;
    const gate = gates().get(sourceName);
    if (gate === undefined) return;
    if (state.unpublished.has("suspension")) {
      const { suspension } = gate;
      const written = await store.changeSuspension({ sourceName, suspension, expectedVersion: state.suspensionVersion });
      if (written.kind === "superseded") {
        // The row began anew while nobody was alive: nobody has found anything since.
        if (written.gate.suspensionVersion < state.suspensionVersion) state.suspensionVersion = written.gate.suspensionVersion;
        return this.#adopt(written.gate);
      }
      state.suspensionVersion = written.gate.suspensionVersion;
      const { event } = state;
      state.event = null;
      // It may have changed again while this was written.
      if (gate.suspension === suspension) state.unpublished.delete("suspension");
      if (event !== null) onSourceChange(event.health, event.change);
    }
    if (!state.unpublished.delete("throttle")) return;
    const { untilMs, factor } = gate.throttle;
    const row = await store.throttle({ sourceName, throttledUntilMs: untilMs, rateFactor: factor }).catch((error: unknown) => {
      state.unpublished.add("throttle");
      throw error;
    });
    state.throttleVersion = Math.max(state.throttleVersion, row.throttleVersion);
  }

  #adopt(row: GateState): void {
    const { gates, onAdopted, onSourceChange } = this.#options;
    const gate = gates().get(row.sourceName);
    if (gate === undefined) return;
    const state = this.#stateOf(row.sourceName);
    if (row.throttleVersion > state.throttleVersion) {
      state.throttleVersion = row.throttleVersion;
      if (row.throttledUntilMs !== null) gate.adoptThrottle({ untilMs: row.throttledUntilMs, factor: row.rateFactor });
    }
    if (row.suspensionVersion <= state.suspensionVersion) return;
    state.suspensionVersion = row.suspensionVersion;
    const { event } = state;
    state.event = null;
    state.unpublished.delete("suspension");
    // What was found here stands there: it was written, and only the answer was lost. Else somebody was faster, who tells it.
    if (event !== null && isSame(row.suspension, gate.suspension)) onSourceChange(event.health, event.change);
    onAdopted(row.sourceName, gate.adoptSuspension(row.suspension));
  }

  #stateOf(sourceName: string): State {
    let state = this.#states.get(sourceName);
    if (state === undefined) {
      state = { unpublished: new Set(), event: null, suspensionVersion: 0, throttleVersion: 0, wasFirst: false };
      this.#states.set(sourceName, state);
    }
    return state;
  }
}

function isSame(one: SharedSuspension | null, other: SharedSuspension | null): boolean {
  return one?.reason === other?.reason && one?.sinceMs === other?.sinceMs;
}

function together(shares: readonly (SourceShare | undefined)[]): GateShare {
  return shares.reduce<GateShare>(
    (sum, share) =>
      share === undefined
        ? sum
        : {
            calls: sum.calls + share.calls,
            uncorroborated: sum.uncorroborated + share.uncorroborated,
            recentPolls: sum.recentPolls + share.recentPolls,
            recentFailures: sum.recentFailures + share.recentFailures,
            lastGoodPollAtMs:
              share.lastGoodPollAtMs === null ? sum.lastGoodPollAtMs : Math.max(share.lastGoodPollAtMs, sum.lastGoodPollAtMs ?? 0),
          },
    nobody,
  );
}

import { isTransientStoreError } from "../../domain/errors.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { ClusterView, SourceShare } from "../../ports/stores/instance-store.ts";
import type { GateState, SharedSourceStore, SharedSuspension } from "../../ports/stores/shared-source-store.ts";
import type { GateShare, SharedGate, SharedPart } from "../sources/source-gate.ts";
import type { SourceChange } from "../sources/source-suspension.ts";

export type SourceStateSyncOptions = {
  readonly store: SharedSourceStore;
  /** Returns the current gates by source. */
  readonly gates: () => ReadonlyMap<string, SharedGate>;
  /** Called after the state of another instance was adopted. */
  readonly onAdopted: (sourceName: string, change: SourceChange) => void;
  /** Called if this instance was the first to observe a change, so that it publishes the event to the hooks. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
};

type State = {
  readonly unpublished: Set<SharedPart>;
  /** Event to publish once the suspension is written. */
  event: { readonly health: SourceHealth; readonly change: "suspended" | "resumed" } | null;
  suspensionVersion: number;
  throttleVersion: number;
  /** Whether this instance was first in line for probes at the previous heartbeat. */
  wasFirst: boolean;
};

/** Number of attempts to write a change before it is left to the next sweep. */
const maxTries = 3;

const noShare: GateShare = {
  calls: 0,
  soleAccountId: null,
  uncorroborated: 0,
  recentPolls: 0,
  recentFailures: 0,
  lastGoodPollAtMs: null,
  lastUnknownStatus: null,
};

/**
 * Synchronises suspension, circuit and throttle of sources between instances. The first instance to observe a change
 * writes it; an instance that is too late adopts the stored state instead. A change that cannot be written because the
 * store is unavailable is written with a later sweep.
 */
export class SourceStateSync {
  readonly #options: SourceStateSyncOptions;
  readonly #states = new Map<string, State>();
  #publishing: Promise<void> | null = null;

  constructor(options: SourceStateSyncOptions) {
    this.#options = options;
  }

  /** Writes a part of a gate that this instance has changed. */
  changed(sourceName: string, part: SharedPart): void {
    this.#stateOf(sourceName).unpublished.add(part);
    // Other changes by the same answer are written together with it.
    queueMicrotask(() => void this.publish().catch(() => undefined));
  }

  /** Publishes a change to the hooks if this instance turns out to be the first to observe it. */
  queueSourceEvent(health: SourceHealth, change: "suspended" | "resumed"): void {
    this.#stateOf(health.name).event = { health, change };
  }

  /** Writes all changes that are not written yet, unless the store is unavailable. Rejects only because of a bug. */
  publish(): Promise<void> {
    this.#publishing ??= this.#publishAll().finally(() => {
      this.#publishing = null;
    });
    return this.#publishing;
  }

  /** Adopts gate states that other instances wrote. */
  adopt(rows: readonly GateState[]): void {
    for (const row of rows) this.#adopt(row);
  }

  /** Applies the shares of the other instances after a heartbeat, and elects the instance that probes each source. */
  applyShares({ token, instances }: ClusterView): void {
    for (const [name, gate] of this.#options.gates()) {
      gate.applyRemoteShares(sumShares(instances.filter((other) => other.token !== token).map(({ shares }) => shares[name])));
      const state = this.#stateOf(name);
      const first = instances.find(({ shares }) => (shares[name]?.calls ?? 0) > 0);
      const isFirst = instances.length === 1 || first?.token === token;
      // Probes start one heartbeat later, so that the previous prober has stopped.
      gate.setMayProbe(instances.length === 1 || (isFirst && state.wasFirst));
      state.wasFirst = isFirst;
    }
  }

  async #publishAll(): Promise<void> {
    for (const [name, state] of this.#states) {
      try {
        for (let tries = 0; state.unpublished.size > 0 && tries < maxTries; tries++) await this.#publish(name, state);
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
        // The row was created again while no instance was alive, so no other change was written since.
        if (written.gate.suspensionVersion < state.suspensionVersion) state.suspensionVersion = written.gate.suspensionVersion;
        return this.#adopt(written.gate);
      }
      state.suspensionVersion = written.gate.suspensionVersion;
      const { event } = state;
      state.event = null;
      // The suspension may have changed again during the write.
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
    // An equal suspension was written by this instance, in a commit whose answer was lost. Any other one is published by
    // the instance that wrote it.
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

function sumShares(shares: readonly (SourceShare | undefined)[]): GateShare {
  return shares.reduce<GateShare>(
    (sum, share) =>
      share === undefined
        ? sum
        : {
            calls: sum.calls + share.calls,
            soleAccountId:
              sum.calls === 0
                ? share.soleAccountId
                : share.calls === 0 || share.soleAccountId === sum.soleAccountId
                  ? sum.soleAccountId
                  : null,
            uncorroborated: sum.uncorroborated + share.uncorroborated,
            recentPolls: sum.recentPolls + share.recentPolls,
            recentFailures: sum.recentFailures + share.recentFailures,
            lastGoodPollAtMs:
              share.lastGoodPollAtMs === null ? sum.lastGoodPollAtMs : Math.max(share.lastGoodPollAtMs, sum.lastGoodPollAtMs ?? 0),
            lastUnknownStatus: sum.lastUnknownStatus ?? share.lastUnknownStatus,
          },
    noShare,
  );
}

import type { SharedSuspension } from "../../ports/stores/shared-source-store.ts";

/**
 * Effect of an observation on a source. `corroborated`: a misconfigured source is polled again, and its earlier 400s and
 * 404s do not count against the calls.
 */
export type SourceChange = "none" | "suspended" | "resumed" | "corroborated";

const probeMinMs = 5000;
const probeMaxMs = 60_000;
const probeNotStartedMs = 1000;

/** Suspension of a source, and the probe (one at a time) that may end it. Times are monotonic milliseconds. */
export class SourceSuspension<Entry> {
  #mayProbe = true;
  #current: SharedSuspension | null = null;
  #probe: Entry | null = null;
  #probeInMs = probeMinMs;
  #probeAtMs = 0;

  get current(): SharedSuspension | null {
    return this.#current;
  }

  get reason(): SharedSuspension["reason"] | null {
    return this.#current?.reason ?? null;
  }

  /** False while another instance probes on behalf of all. */
  get mayProbe(): boolean {
    return this.#mayProbe;
  }

  /** Whether a probe is in flight. */
  get isProbing(): boolean {
    return this.#probe !== null;
  }

  /** Returns the time until the next probe; 0 or less if it may start now. */
  probeWaitMs(nowMs: number): number {
    return this.#current === null ? 0 : this.#probeAtMs - nowMs;
  }

  /** Begins a suspension; `null` if another one is in force and takes precedence. */
  begin(suspension: SharedSuspension, nowMs: number): SourceChange | null {
    const before = this.reason;
    const { reason } = suspension;
    // A suspension for another reason replaces only an open circuit, because that was never published.
    if (before !== null && (before !== "upstream_errors" || reason === "upstream_errors")) return null;
    this.#current = suspension;
    this.#probeInMs = probeMinMs;
    this.#probeAtMs = nowMs + probeMinMs;
    return reason === "upstream_errors" ? "none" : "suspended";
  }

  /** Takes over the start time that another instance recorded for the same suspension. */
  restoreTimes(suspension: SharedSuspension): void {
    this.#current = suspension;
  }

  /** Ends the suspension; `null` if there was none. */
  end(): SourceChange | null {
    const { reason } = this;
    this.#current = null;
    this.#probe = null;
    if (reason === null) return null;
    if (reason === "misconfigured") return "corroborated";
    return reason === "upstream_errors" ? "none" : "resumed";
  }

  /**
   * Allows or forbids probes. The probes that another instance sent before are not known here, so the first probe after a
   * change waits as long as the shortest time between two.
   */
  setMayProbe(mayProbe: boolean, nowMs: number): void {
    if (mayProbe && !this.#mayProbe) this.#probeAtMs = Math.max(this.#probeAtMs, nowMs + probeMinMs);
    this.#mayProbe = mayProbe;
  }

  nextProbe(nowMs: number, take: () => Entry | null): Entry | null {
    if (!this.#mayProbe || this.#probe !== null || nowMs < this.#probeAtMs) return null;
    this.#probe = take();
    return this.#probe;
  }

  /** Returns whether the entry was the probe, and if so allows the next probe. */
  record(entry: Entry): boolean {
    if (this.#probe !== entry) return false;
    this.#probe = null;
    return true;
  }

  /** Schedules the next probe soon, because the last one was not sent and the source did not answer. */
  repeatProbe(nowMs: number): void {
    this.#probeAtMs = nowMs + probeNotStartedMs;
  }

  postponeProbe(nowMs: number): void {
    this.#probeInMs = Math.min(this.#probeInMs * 2, probeMaxMs);
    this.#probeAtMs = nowMs + this.#probeInMs;
  }
}

import type { SharedSuspension } from "../../ports/stores/shared-source-store.ts";

/** What an answer did to the source. `vindicated`: it goes on, and what it denied before says nothing about the calls. */
export type SourceChange = "none" | "suspended" | "resumed" | "vindicated";

const probeMinMs = 5000;
const probeMaxMs = 60_000;
const probeNotStartedMs = 1000;

/** Why nobody is polled at a source, and the one probe at a time that may end it. Time is monotonic milliseconds. */
export class SourceSuspension<Entry> {
  /** False while another instance probes for all. */
  mayProbe = true;
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

  /** A probe is on the wire. */
  get isProbing(): boolean {
    return this.#probe !== null;
  }

  /** How long until a probe may go; 0 or less: now. */
  probeWaitMs(nowMs: number): number {
    return this.#current === null ? 0 : this.#probeAtMs - nowMs;
  }

  /** null: it stands as it is. */
  begin(suspension: SharedSuspension, nowMs: number): SourceChange | null {
    const before = this.reason;
    const { reason } = suspension;
    // An open circuit is no suspension that anybody was told of; every other one stands as it is.
    if (before !== null && (before !== "upstream_errors" || reason === "upstream_errors")) return null;
    this.#current = suspension;
    this.#probeInMs = probeMinMs;
    this.#probeAtMs = nowMs + probeMinMs;
    return reason === "upstream_errors" ? "none" : "suspended";
  }

  /** The same one as others date it; what is waited for stays. */
  restoreTimes(suspension: SharedSuspension): void {
    this.#current = suspension;
  }

  /** null: there was none. */
  end(): SourceChange | null {
    const { reason } = this;
    this.#current = null;
    this.#probe = null;
    if (reason === null) return null;
    if (reason === "misconfigured") return "vindicated";
    return reason === "upstream_errors" ? "none" : "resumed";
  }

  nextProbe(nowMs: number, take: () => Entry | null): Entry | null {
    if (!this.mayProbe || this.#probe !== null || nowMs < this.#probeAtMs) return null;
    this.#probe = take();
    return this.#probe;
  }

  /** Whether it was the probe; then another one may go when its time has come. */
  record(entry: Entry): boolean {
    if (this.#probe !== entry) return false;
    this.#probe = null;
    return true;
  }

  /** The probe was not sent; the next one comes soon, because the source has said nothing. */
  repeatProbe(nowMs: number): void {
    this.#probeAtMs = nowMs + probeNotStartedMs;
  }

  postponeProbe(nowMs: number): void {
    this.#probeInMs = Math.min(this.#probeInMs * 2, probeMaxMs);
    this.#probeAtMs = nowMs + this.#probeInMs;
  }
}

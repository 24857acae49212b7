import type { CallProgress } from "../../domain/calls/call.ts";
import type { DetectionDelays, SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../stores/account-store.ts";
import type { Notice } from "../stores/call-store.ts";

/** A change that a request of an account waits for. */
export type AwaitedChange = {
  readonly accountId: string;
  /** The watch that changes; `null` for any event of the account. */
  readonly watchId: string | null;
  /** Whether a notice ends the wait; every one does if left out. */
  readonly matches?: (notice: Notice) => boolean;
};

/**
 * End of a wait for a change.
 * - `event`: an event of the watch or account was committed, or the watch ended.
 * - `timeout`: the time is over, or too many requests of all accounts wait.
 * - `too_many`: as many requests of the account wait as may; nothing was waited for.
 * - `aborted`: the caller gave the wait up.
 * - `stopping`: the service stops.
 */
export type WaitEnd = "event" | "timeout" | "too_many" | "aborted" | "stopping";

/** A process of the service, as of its last report. */
export type InstanceView = {
  /** Number of the instance; `null` for a process that has its database alone. */
  readonly token: number | null;
  /** Whether it is the process that was asked. */
  readonly isThis: boolean;
  readonly shares: readonly {
    readonly sourceName: string;
    /** Number of calls that it polls. */
    readonly calls: number;
    /** Polls per second that it may make, at most. */
    readonly ratePerSecond: number;
    readonly lastGoodPollAtMs: number | null;
    /** How long its oldest due poll has been due, as of its last heartbeat; 0 if none is. */
    readonly oldestDuePollMs: number;
  }[];
};

/** State that exists only in the memory of this process. */
export interface LiveState {
  /** Returns the progress of a call; `null` if another process polls it. */
  callProgress(callId: string, sourceName: string): CallProgress | null;
  /** Returns the sources that the account may use. */
  sources(account: Account): readonly SourceHealth[];
  /** Returns all sources, each with the interval of its most stretched account. */
  allSources(): readonly SourceHealth[];
  /** Returns the processes of the service, the eldest first. */
  instances(): readonly InstanceView[];
  /** Returns how long the oldest due poll of this process has been due, in milliseconds; 0 if none is. */
  oldestDuePollMs(): number;
  /** Returns the expected delays of a source as this process observed them; `null` before its first change. */
  detectionDelays(sourceName: string): DetectionDelays | null;
  /** Returns the name of the source of a request that names none; `default` if none can be meant. */
  impliedSourceName(account: Account): string;
  /** Waits for a change of a watch or of an account. Callers subscribe before they read, so that they miss no event. Never rejects. */
  changed(change: AwaitedChange, timeoutMs: number, signal: AbortSignal): Promise<WaitEnd>;
  /**
   * Reads whether the process is ready. `notReady` is the reason why registrations cannot be accepted, `null` if they can.
   * `degraded` lists upstream problems.
   */
  readiness(): Promise<{ readonly notReady: string | null; readonly degraded: readonly string[] }>;
}

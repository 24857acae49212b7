import type { CallProgress } from "../../domain/calls/call.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../stores/account-store.ts";

/**
 * End of a wait for a change.
 * - `event`: an event of the watch or account was committed, or the watch ended.
 * - `timeout`: the time is over, or the number of waiting requests is at its limit.
 * - `aborted`: the caller gave the wait up.
 * - `stopping`: the service stops.
 */
export type WaitEnd = "event" | "timeout" | "aborted" | "stopping";

/** State that exists only in the memory of this process. */
export interface LiveState {
  /** Returns the progress of a call; `null` if another process polls it. */
  callProgress(callId: string, sourceName: string): CallProgress | null;
  /** Returns the sources that the account may use. */
  sources(account: Account): readonly SourceHealth[];
  /** Waits for a change of a watch or of an account. Callers subscribe before they read, so that they miss no event. Never rejects. */
  changed(watchOrAccountId: string, timeoutMs: number, signal: AbortSignal): Promise<WaitEnd>;
  /**
   * Reads whether the process is ready. `notReady` is the reason why registrations cannot be accepted, `null` if they can.
   * `degraded` lists upstream problems.
   */
  readiness(): Promise<{ readonly notReady: string | null; readonly degraded: readonly string[] }>;
}

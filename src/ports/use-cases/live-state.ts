import type { CallProgress } from "../../domain/calls/call.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../stores/account-store.ts";

/** State that exists only in the memory of this process. */
export interface LiveState {
  /** Returns the progress of a call; `null` if another process polls it. */
  callProgress(callId: string, sourceName: string): CallProgress | null;
  /** Returns the sources that the account may use. */
  sources(account: Account): readonly SourceHealth[];
  /**
   * Resolves true at the next event of a watch or of an account, or at the end of the watch; false after `timeoutMs`, at an
   * abort or when the service stops. Callers subscribe before they read, so that they miss no event.
   */
  changed(watchOrAccountId: string, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  /** `notReady` is the reason why registrations cannot be accepted, `null` if they can; `degraded` lists upstream problems. */
  readiness(): Promise<{ readonly notReady: string | null; readonly degraded: readonly string[] }>;
}

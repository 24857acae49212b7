import type { CallProblem } from "../../domain/calls/call.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../stores/account-store.ts";

/** What only memory knows. */
export interface LiveState {
  /** null when it is another process that polls the call. */
  callProgress(
    callId: string,
    sourceName: string,
  ): { readonly polledAtMs: number | null; readonly nextPollAtMs: number | null; readonly problem: CallProblem | null } | null;
  /** The sources the account may use. */
  sources(account: Account): readonly SourceHealth[];
  /** Resolves true at the watch's next transition past `sequence` (or its end), false after `timeoutMs` or when the service stops. Subscribe before reading. */
  watchChanged(watchId: string, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  /** The same for any event of the account. */
  feedChanged(accountId: string, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  /** `notReady`: why no registration can be accepted, null when they can; `degraded`: upstream trouble, for people. */
  readiness(): Promise<{ readonly notReady: string | null; readonly degraded: readonly string[] }>;
}

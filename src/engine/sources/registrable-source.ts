import type { Account } from "../../ports/stores/account-store.ts";

/** Registration rules of one source. */
export type RegistrableSource = {
  readonly name: string;
  /** Returns the scope within which a call SID names one call; "" if all accounts see the same calls. */
  scopeOf(account: Account): string;
  mayUse(account: Account): boolean;
  /** Whether the call has ended and a new watch starts it again; always false unless calls can be replayed (sandbox). */
  replayable(scope: string, callSid: string): boolean;
  /** Starts a replayable call again, before its first poll. */
  restart(scope: string, callSid: string): void;
};

import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import type { Account } from "../../ports/stores/account-store.ts";

/** Registration rules of one source. */
export type RegistrableSource = {
  readonly name: string;
  /** The account that the source was made for alone; `null` if it was made for several. */
  readonly soleAccountId: string | null;
  /** Returns why a text cannot be the SID of a call; `null` if it can. */
  sidFault(callSid: string): string | null;
  /** Returns the scope within which a call SID names one call; "" if all accounts see the same calls. */
  scopeOf(account: Account): string;
  mayUse(account: Account): boolean;
  /** Whether the call has ended and a new watch starts it again; always false unless calls can be replayed (sandbox). */
  replayable(scope: string, callSid: string): boolean;
  /** Starts a replayable call again, before its first poll. */
  restart(scope: string, callSid: string): void;
};

/**
 * Returns the source of a request that names none: `default`, or, where the account may not use that, the only one that was
 * made for it alone. `null` if there is none, or more than one.
 */
export function impliedSource(sources: ReadonlyMap<string, RegistrableSource>, account: Account): RegistrableSource | null {
  const byDefault = sources.get(defaultSourceName);
  if (byDefault?.mayUse(account) === true) return byDefault;
  const own = [...sources.values()].filter(({ soleAccountId }) => soleAccountId === account.id);
  return own.length === 1 ? (own[0] ?? null) : null;
}

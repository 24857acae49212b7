import type { Observation } from "../domain/calls/call.ts";
import type { NotStarted } from "./not-started.ts";

/** Which call to ask for. `scope` is "" for shared sources and the account's id where calls belong to an account (sandbox). */
export type PollTarget = { readonly callSid: string; readonly scope: string };

export type PollAnswer = {
  /** `not_started`: the upstream was not asked. */
  readonly observation: Observation | NotStarted;
  /** The upstream's `Date` header as epoch ms, for the clock-skew metric; null without one. */
  readonly upstreamDateMs: number | null;
  readonly durationMs: number;
};

/** One upstream. Asks once and reports; it decides nothing and never throws for what the upstream does. */
export interface CallSource {
  /**
   * One status request, at most 10 s. After a reset of a reused connection before any answer it asks a second time at
   * once, if `takeToken` grants it one (a token of the source's rate); every other repetition is the poller's.
   */
  poll(target: PollTarget, takeToken: () => boolean): Promise<PollAnswer>;
  /** Releases sockets and timers; polls under way end as `failed`. */
  close(): Promise<void>;
}

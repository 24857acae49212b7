import type { Observation } from "../domain/calls/call.ts";
import type { CallTrigger } from "./call-trigger.ts";
import type { NotStarted } from "./not-started.ts";

/** Call to poll. `scope` is "" for shared sources, and the account's id where calls belong to an account (sandbox). */
export type PollTarget = { readonly callSid: string; readonly scope: string };

export type PollAnswer = {
  /** Observation of the upstream; `not_started` if no request was sent. */
  readonly observation: Observation | NotStarted;
  /** The upstream's `Date` header in epoch milliseconds, for the clock-skew metric; `null` without one. */
  readonly upstreamDateMs: number | null;
  readonly durationMs: number;
  /** Id by which the upstream finds a request that failed; `null` without one. */
  readonly correlationId: string | null;
};

/** One upstream. Reports each answer or failure as an observation, without deciding what it means. */
export interface CallSource {
  /**
   * Sends one status request, for at most 10 s; resolves also if the upstream fails. A reused connection that is reset
   * before any answer is retried once and immediately, if `takeToken` grants a token of the source's rate (RFC 9110,
   * section 9.2.2). No token is needed if the request was not written. The poller makes all other retries.
   */
  poll(target: PollTarget, takeToken: () => boolean): Promise<PollAnswer>;
  /** Returns why a text cannot be the SID of a call; `null` if it can. */
  sidFault(callSid: string): string | null;
  /** How the source places calls; left out if it can place none. */
  readonly trigger?: CallTrigger;
  /** Releases sockets and timers; polls in flight end as `failed`. */
  close(): Promise<void>;
}

import type { Evidence } from "./evidence.ts";
import type { PollSeen } from "./upstream.ts";
import type { Lifetime } from "./scheduler.ts";

type SourceSeen = {
  /** What is left of the bucket that the promise is: `rate` at most, refilled by `rate` a second. */
  tokens: number;
  atMs: number;
  /** After a 429: nothing before then, in the process that heard it. */
  floor: { readonly untilMs: number; readonly lifetime: Lifetime } | null;
  /** After a 401: one probe at a time, 5 s apart. */
  suspended: { readonly lifetime: Lifetime; readonly earlier: ReadonlySet<PollSeen>; lastAtMs: number; isProbing: boolean } | null;
  /** Polls that arrived and have not been answered yet. */
  readonly onTheWire: Set<PollSeen>;
};

const minFloorMs = 1000;
const probeMs = 5000;
const handOverMs = 2500;

/** What the upstream may expect of its poller. */
export class PollRules {
  readonly #evidence: Evidence;
  readonly #sources = new Map<string, SourceSeen>();
  /** By SID: what it was last denied with (404 or 400), for those whose watches ended so. */
  readonly rejected = new Map<string, string>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  arrived(poll: PollSeen): void {
    const { timeline, scheduler } = this.#evidence;
    timeline.note(`poll ${poll.sid}`, poll.sid);
    const source = this.#sourceOf(poll.source);
    const nowMs = scheduler.nowMs;
    source.onTheWire.add(poll);
    this.#take(source, poll, nowMs);
    if (source.floor !== null && source.floor.lifetime === poll.lifetime && nowMs < source.floor.untilMs)
      this.#evidence.violate("source floor", `polled ${source.floor.untilMs - nowMs} ms before the end of a 429's pause`, poll.sid);
    const { suspended } = source;
    if (suspended === null || suspended.lifetime !== poll.lifetime) return;
    if (suspended.isProbing || nowMs < suspended.lastAtMs + probeMs)
      this.#evidence.violate("suspended source", "polled though it refuses us, with no 5 s between two probes", poll.sid);
    suspended.isProbing = true;
  }

  answered(poll: PollSeen): void {
    const { observation } = poll;
    if (observation === null) return;
    const text = observation.kind === "status" ? `${observation.status} ${observation.reason}`.trim() : observation.kind;
    this.#evidence.timeline.note(`poll ${poll.sid} answered ${text}`, poll.sid);
    const source = this.#sourceOf(poll.source);
    source.onTheWire.delete(poll);
    const nowMs = this.#evidence.scheduler.nowMs;
    if (observation.kind === "not_found" || observation.kind === "rejected") this.rejected.set(poll.sid, observation.kind);
    if (observation.kind === "rate_limited") {
      const untilMs = nowMs + (observation.retryAfterMs ?? minFloorMs);
      const before = source.floor?.lifetime === poll.lifetime ? source.floor.untilMs : 0;
      // One that was on the wire when the pause began may only make it longer, and without a word of its own does not.
      if (nowMs >= before || observation.retryAfterMs !== null)
        source.floor = { untilMs: Math.max(before, untilMs), lifetime: poll.lifetime };
    }
    this.#followSuspension(source, poll, nowMs);
  }

  #followSuspension(source: SourceSeen, poll: PollSeen, nowMs: number): void {
    const { observation, lifetime } = poll;
    const isRefused = observation?.kind === "unauthorized" && observation.statusCode === 401;
    const isOwn = source.suspended?.lifetime === lifetime || this.#evidence.isShared;
    const current = isOwn ? source.suspended : null;
    if (current === null) {
      if (isRefused) source.suspended = { lifetime, earlier: new Set(source.onTheWire), lastAtMs: nowMs, isProbing: false };
      return;
    }
    // Answers to polls from before it say nothing, also where they arrived in the same millisecond.
    if (current.earlier.has(poll)) return;
    current.isProbing = false;
    current.lastAtMs = nowMs;
    const isStillRefused = observation?.kind === "unauthorized" || observation?.kind === "rate_limited";
    if (!isStillRefused && !(observation?.kind === "failed" && observation.code !== "not_json")) source.suspended = null;
  }

  #take(source: SourceSeen, poll: PollSeen, nowMs: number): void {
    const { maxPollsPerSecond: rate } = this.#evidence.limits;
    source.tokens = Math.min(rate, source.tokens + ((nowMs - source.atMs) / 1000) * rate) - 1;
    source.atMs = nowMs;
    if (source.tokens < -1e-6) {
      source.tokens = 0;
      // What an instance used in its last second its successor does not know of: a known weakness, at most one second long.
      if (this.#evidence.isShared && nowMs - this.#evidence.lastLeftAtMs < handOverMs) return;
      this.#evidence.violate("source rate", `more than ${rate} polls a second`, poll.sid);
    }
  }

  #sourceOf(name: string): SourceSeen {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = { tokens: this.#evidence.limits.maxPollsPerSecond, atMs: 0, floor: null, suspended: null, onTheWire: new Set() };
      this.#sources.set(name, source);
    }
    return source;
  }
}

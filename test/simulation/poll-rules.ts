import type { Evidence } from "./evidence.ts";
import type { PollSeen } from "./upstream.ts";
import type { Lifetime } from "./scheduler.ts";

type SourceSeen = {
  /** What is left of the bucket that the promise is: `rate` at most, refilled by `rate` a second. */
  tokens: number;
  atMs: number;
  /** After a 429: nothing before then, in the process that received it. */
  readonly floors: Map<Lifetime, number>;
  /** After a 401: one probe at a time, 5 s apart. */
  suspended: { readonly lifetime: Lifetime; readonly earlier: ReadonlySet<PollSeen>; lastAtMs: number; isProbing: boolean } | null;
  /** The first 403 since an answer that was no refusal. It may have suspended the source before a 401 did. */
  forbidden: { readonly lifetime: Lifetime; readonly earlier: ReadonlySet<PollSeen>; readonly atMs: number } | null;
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
    this.#take(source, poll.sid, nowMs);
    const floorMs = source.floors.get(poll.lifetime) ?? 0;
    if (nowMs < floorMs) this.#evidence.violate("source floor", `polled ${floorMs - nowMs} ms before the end of a 429's pause`, poll.sid);
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
      const ownMs = source.floors.get(poll.lifetime) ?? 0;
      // An instance may have adopted the pause of another one.
      const knownMs = this.#evidence.isShared ? Math.max(...source.floors.values(), 0) : ownMs;
      // One that was on the wire when the pause began may only make it longer, and without a word of its own does not.
      if (nowMs >= knownMs || observation.retryAfterMs !== null) source.floors.set(poll.lifetime, Math.max(ownMs, untilMs));
    }
    this.#followSuspension(source, poll, nowMs);
  }

  #followSuspension(source: SourceSeen, poll: PollSeen, nowMs: number): void {
    const { observation, lifetime } = poll;
    const isRefused = observation?.kind === "unauthorized" && observation.statusCode === 401;
    const isOwn = source.suspended?.lifetime === lifetime || this.#evidence.isShared;
    const current = isOwn ? source.suspended : null;
    if (current === null) {
      const before = source.forbidden?.lifetime === lifetime && source.forbidden.earlier.has(poll) ? source.forbidden.atMs : nowMs;
      if (isRefused) source.suspended = { lifetime, earlier: new Set(source.onTheWire), lastAtMs: before, isProbing: false };
      else if (observation?.kind !== "unauthorized") source.forbidden = null;
      else if (source.forbidden?.lifetime !== lifetime) source.forbidden = { lifetime, earlier: new Set(source.onTheWire), atMs: nowMs };
      return;
    }
    // Answers to polls from before it say nothing, also where they arrived in the same millisecond.
    if (current.earlier.has(poll)) return;
    // Another instance may have been refused before it learned of the suspension, which counts for its own probes alone.
    if (current.lifetime === lifetime) {
      current.isProbing = false;
      current.lastAtMs = nowMs;
    }
    const isStillRefused = observation?.kind === "unauthorized" || observation?.kind === "rate_limited";
    if (!isStillRefused && !(observation?.kind === "failed" && observation.code !== "not_json")) source.suspended = null;
  }

  /** A trigger left, which takes its turn of the same rate. */
  triggered(sourceName: string, number: string): void {
    this.#take(this.#sourceOf(sourceName), number, this.#evidence.scheduler.nowMs);
  }

  #take(source: SourceSeen, about: string, nowMs: number): void {
    const { maxPollsPerSecond: rate } = this.#evidence.limits;
    source.tokens = Math.min(rate, source.tokens + ((nowMs - source.atMs) / 1000) * rate) - 1;
    source.atMs = nowMs;
    if (source.tokens < -1e-6) {
      source.tokens = 0;
      // What an instance used in its last second its successor does not know of: a known weakness, at most one second long.
      if (this.#evidence.isShared && nowMs - this.#evidence.lastLeftAtMs < handOverMs) return;
      this.#evidence.violate("source rate", `more than ${rate} polls and triggers a second`, about);
    }
  }

  #sourceOf(name: string): SourceSeen {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = {
        tokens: this.#evidence.limits.maxPollsPerSecond,
        atMs: 0,
        floors: new Map(),
        suspended: null,
        forbidden: null,
        onTheWire: new Set(),
      };
      this.#sources.set(name, source);
    }
    return source;
  }
}

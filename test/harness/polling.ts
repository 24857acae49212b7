import { setImmediate } from "node:timers/promises";
import type { Observation } from "../../src/domain/calls/call.ts";
import { StoreUnavailableError } from "../../src/domain/errors.ts";
import type { PollPolicy } from "../../src/domain/calls/poll-decision.ts";
import type { SourceHealth } from "../../src/domain/sources/source.ts";
import { Poller } from "../../src/engine/polling/poller.ts";
import type { QueuedPoll } from "../../src/engine/sources/fair-poll-queue.ts";
import type { PollSchedule, SourceSetup } from "../../src/engine/sources/polled-source.ts";
import type { CallSource, PollAnswer, PollTarget } from "../../src/ports/call-source.ts";
import type { NotStarted } from "../../src/ports/not-started.ts";
import type { Commit, CommitListener } from "../../src/ports/commit-listener.ts";
import type { CallCommit, CallStore, Notice } from "../../src/ports/stores/call-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import type { ServiceStore } from "../../src/ports/stores/service-store.ts";
import { FakeClock } from "./fake-clock.ts";
import { seen } from "./observations.ts";
import { silentLogger, silentMetrics } from "./silent-telemetry.ts";
import { StoreWorld } from "./store-drafts.ts";
import type { WatchWish } from "./store-drafts.ts";

export const fine = (status: string, reason = ""): Observation => seen(status, reason);
export const missing: Observation = { kind: "not_found" };
export const broken: Observation = { kind: "failed", code: "server_error", detail: "HTTP 500" };
export const unauthorized: Observation = { kind: "unauthorized", statusCode: 401 };

/** An entry of a source's queue: a repeat of account "a" that never answered, unless `given` says otherwise. */
export function queuedPoll(given: Partial<QueuedPoll> = {}): QueuedPoll {
  return { accountId: "a", isFirstPoll: false, hasAnswered: false, isQueued: false, queuedOrder: 0, dueAtMonotonicMs: 0, ...given };
}

export const notStarted: NotStarted = { kind: "not_started", code: "EMFILE" };

/** The defaults of the service. */
export const pollPolicy: PollPolicy = {
  notFoundGraceMs: 30_000,
  lostAfterMs: 300_000,
  statusRetentionMs: 7_200_000,
  backoffMinMs: 2000,
  backoffMaxMs: 60_000,
  corroborationMs: 600_000,
  uncorroboratedEndMs: 600_000,
};

type Script = (callSid: string) => Observation | NotStarted | Promise<Observation | NotStarted>;

/** An upstream that answers by a script and keeps its polls with their times. */
export class ScriptedSource implements CallSource {
  answer: Script = () => fine("queued");
  polls: { readonly callSid: string; readonly atMs: number }[] = [];
  inFlight = 0;
  mostInFlight = 0;
  isClosed = false;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async poll({ callSid }: PollTarget): Promise<PollAnswer> {
    this.polls.push({ callSid, atMs: this.#clock.monotonicMs() });
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      return { observation: await this.answer(callSid), upstreamDateMs: null, durationMs: 1, correlationId: null };
    } finally {
      this.inFlight -= 1;
    }
  }

  sidFault(): null {
    return null;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.resolve();
  }
}

/** The poller on a fake clock, a scripted upstream and a real store that can be made to fail. */
export class PollingWorld implements CommitListener {
  readonly clock = new FakeClock();
  readonly upstream = new ScriptedSource(this.clock);
  readonly commits: CallCommit[] = [];
  /** Number of portions of unfinished commits. */
  portions = 0;
  /** Number of portions that the store still writes; the others are refused. */
  storePortionsLeft = Infinity;
  readonly notices: Notice[] = [];
  readonly jobs: SendJob[] = [];
  readonly sourceChanges: string[] = [];
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  /** Every commit is refused with it. */
  storeFailure: Error | null = null;
  /** Every commit waits for it before it reaches the store. */
  storeAnswersAfter: Promise<void> | null = null;
  /** Every release of calls is answered after it, having reached the store before. */
  releaseAnswersAfter: Promise<void> | null = null;
  poller: Poller;
  readonly #store: ServiceStore;
  readonly #registrations: StoreWorld;
  readonly #setup: SourceSetup;
  readonly #schedule: PollSchedule;
  #storeCalls = 0;

  constructor(
    store: ServiceStore,
    {
      maxPollsPerSecond = 200,
      sourceName = "default",
      schedule = "learned",
    }: { readonly maxPollsPerSecond?: number; readonly sourceName?: string; readonly schedule?: PollSchedule } = {},
  ) {
    this.#store = store;
    this.#schedule = schedule;
    this.#registrations = new StoreWorld(store);
    this.#setup = {
      source: { id: "src_1", name: sourceName, kind: "polyai-legacy", maxPollsPerSecond },
      callSource: this.upstream,
      intervalMinMs: 2000,
      intervalMaxMs: 5000,
      policy: pollPolicy,
    };
    this.poller = this.#createPoller();
    this.#tickEachSecond();
  }

  /** Of the source that is there from the beginning. */
  get setup(): SourceSetup {
    return this.#setup;
  }

  get source(): SourceHealth {
    const [health] = this.poller.sources.health();
    if (health === undefined) throw new Error("there is one source");
    return health;
  }

  /** The committed events as `sequence type`, in commit order. */
  get notified(): readonly string[] {
    return this.notices.map(({ eventType, sequence }) => `${sequence} ${eventType}`);
  }

  pollsOf(callSid: string): readonly number[] {
    return this.upstream.polls.filter((poll) => poll.callSid === callSid).map(({ atMs }) => atMs);
  }

  committed({ jobs, notices }: Commit): void {
    this.jobs.push(...jobs);
    this.notices.push(...notices);
  }

  removed(): void {
    throw new Error("the poller removes no watches");
  }

  /** Registers as the registrar would: the commit first, then the poller. */
  async watch(callSid: string, { accountName = "default", ...wish }: WatchWish & { readonly accountName?: string } = {}): Promise<string> {
    const { source } = this.#setup;
    const account = await this.#registrations.account(accountName);
    this.#registrations.nowMs = this.clock.nowMs();
    const polledAtMs = this.poller.calls.find(source.name, "", callSid)?.lastGoodPollAtMs ?? null;
    const created = await this.#registrations.watch(callSid, { accountId: account.id, sourceName: source.name, polledAtMs, ...wish });
    this.notices.push(...created.notices);
    if (created.call !== null) this.poller.watch(created.call);
    await this.settle();
    return created.view.watch.id;
  }

  async removeWatch(watchId: string): Promise<void> {
    const account = await this.#registrations.account();
    const removed = await this.#store.removeWatch({ by: null, accountId: account.id, watchId, purge: false, nowMs: this.clock.nowMs() });
    if (removed.kind === "removed") this.poller.rewatch(removed.callId, removed.call);
  }

  async storedCall(callId: string) {
    const calls = await this.#store.loadWatchedCalls({ afterCallId: null, limit: 10_000 });
    return calls.find((call) => call.callId === callId) ?? null;
  }

  /** As another instance or a registration would: behind the poller's back. */
  async commitBehind(commit: CallCommit): Promise<void> {
    await this.#store.commitCall(commit);
  }

  /** What a restart does to memory. */
  async restart(): Promise<void> {
    await this.poller.stop(0);
    this.poller = this.#createPoller();
    await this.poller.start();
  }

  /** Lets `ms` pass. No time passes while the store has not answered. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms, () => this.settle());
  }

  /** Until the store has answered everything and the poller has gone on. */
  async settle(): Promise<void> {
    await this.clock.settle();
    while (this.#storeCalls > 0) {
      while (this.#storeCalls > 0) await setImmediate();
      await this.clock.settle();
    }
  }

  #createPoller(): Poller {
    return new Poller({
      sources: [this.#setup],
      store: this.#observedStore(),
      clock: this.clock,
      logger: {
        ...silentLogger,
        warn: (_fields, message) => this.warnings.push(message),
        error: (fields) => this.errors.push(JSON.stringify(fields)),
      },
      metrics: silentMetrics,
      schedule: this.#schedule,
      listeners: [this],
      onSourceChange: ({ reason }, change) => this.sourceChanges.push(reason === null ? change : `${change}: ${reason}`),
    });
  }

  #observedStore(): CallStore {
    const store = this.#store;
    return {
      loadWatchedCalls: (page) => store.loadWatchedCalls(page),
      parkCalls: (calls) => store.parkCalls(calls),
      releaseCalls: async (calls, why) => {
        await store.releaseCalls(calls, why);
        await this.releaseAnswersAfter;
      },
      commitPortion: async (request) => {
        this.#storeCalls += 1;
        try {
          if (this.storeFailure !== null) throw this.storeFailure;
          if (this.storePortionsLeft === 0) throw new StoreUnavailableError("away");
          this.storePortionsLeft -= 1;
          this.portions += 1;
          return await store.commitPortion(request);
        } finally {
          this.#storeCalls -= 1;
        }
      },
      commitCall: async (commit) => {
        this.#storeCalls += 1;
        try {
          if (this.storeFailure !== null) throw this.storeFailure;
          this.commits.push(commit);
          await this.storeAnswersAfter;
          return await store.commitCall(commit);
        } finally {
          this.#storeCalls -= 1;
        }
      },
    };
  }

  #tickEachSecond(): void {
    this.clock.setTimer(this.poller.tickEveryMs, () => {
      this.poller.tick();
      this.#tickEachSecond();
    });
  }
}

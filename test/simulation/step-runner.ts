import { bodyOfWatch, idempotencyKeyOf } from "./client.ts";
import type { Json } from "./client.ts";
import { ClientKnowledge } from "./client-knowledge.ts";
import type { KnowledgeParts, Of } from "./client-knowledge.ts";
import type { FeedReader } from "./feed-reader.ts";
import { checkAcceptedRetry } from "./manual-rules.ts";
import { PlaceStep } from "./place-step.ts";
import type { Step } from "./plan.ts";
import type { Receivers } from "./receivers.ts";
import type { Upstream } from "./upstream.ts";

export type StepRunnerParts = KnowledgeParts & {
  readonly readers: readonly FeedReader[];
  readonly upstream: Upstream;
  readonly receivers: Receivers;
};

/** The service looks at the clock every second, and must write down what it makes of it. */
const noticedAfterMs = 6000;
/** A key that was revoked is refused everywhere after this. */
const revokedAfterMs = 5000;

/** Runs the steps of a plan, and reports the answers to the auditor. */
export class StepRunner {
  readonly #parts: StepRunnerParts;
  readonly #knowledge: ClientKnowledge;
  readonly #placing: PlaceStep;

  constructor(parts: StepRunnerParts) {
    this.#parts = parts;
    this.#knowledge = new ClientKnowledge(parts);
    this.#placing = new PlaceStep(parts, this.#knowledge);
  }

  async run(step: Step): Promise<void> {
    const { life, timeline, scheduler, auditor, upstream, receivers, plan } = this.#parts;
    switch (step.kind) {
      case "register":
        return this.#register(step);
      case "batch":
        return this.#batch(step);
      case "hook":
        return this.#hook(step);
      case "delete_hook":
        return this.#deleteHook(step);
      case "delete_watch":
        return this.#deleteWatch(step);
      case "patch":
        return this.#patch(step);
      case "rotate":
        return this.#rotate(step);
      case "retry":
        return this.#retry(step);
      case "recover":
        return this.#recover(step);
      case "test":
        return this.#test(step);
      case "wait":
        return this.#wait(step);
      case "read_feed":
        return this.#parts.readers[step.account]?.read(step);
      case "look":
        return this.#look(step);
      case "flood":
        return this.#flood(step);
      case "revoke_key":
        return this.#revokeKey(step);
      case "place":
        return this.#placing.run(step);
      case "clock":
        timeline.note(`the wall clock is set by ${step.byMs} ms`);
        scheduler.wallOffsetMs += step.byMs;
        auditor.noteClockStep(step.byMs);
        if (step.byMs < 0) void this.#watchClock(-step.byMs);
        return undefined;
      case "crash":
        if (step.after === null) life.instance(step.instance).crash(step.downMs);
        else life.instance(step.instance).armCrash({ ...step, after: step.after });
        return undefined;
      case "restart":
        return life.instance(step.instance).stop(step.graceMs, step.downMs);
      case "freeze":
        return life.instance(step.instance).freeze(step.forMs);
      case "disk":
        return life.troubleDisk(step.fault, step.forMs);
      case "upstream":
        timeline.note(`upstream ${step.trouble} for ${step.forMs} ms, ${step.share} of polls`);
        return upstream.trouble({ source: "default", ...step });
      case "receiver": {
        const url = plan.urls[step.url]?.url ?? "";
        const where = step.isHost ? new URL(url).origin : url;
        timeline.note(`receiver ${where} ${step.trouble} for ${step.forMs} ms, ${step.share} of tries`);
        return receivers.trouble({ ...step, where });
      }
    }
  }

  /** Notes a clock set back while no process noticed it; the operator corrects the clock at the end. */
  async #watchClock(backMs: number): Promise<void> {
    const { life, auditor, clients } = this.#parts;
    const starts = life.starts;
    const wasUp = life.areAllUp;
    await clients[0]?.sleep(noticedAfterMs);
    if (!wasUp || life.starts !== starts || !life.areAllUp) auditor.unnoticedBackMs += backMs;
  }

  async #register(step: Of<"register">): Promise<void> {
    const { plan, scheduler } = this.#parts;
    const body = bodyOfWatch(plan, step.watch, scheduler.wallMs);
    await this.#knowledge.naming(step.account, [step.watch], async (onLost) => {
      const answer = await this.#knowledge
        .client(step)
        .send({ method: "POST", path: "/v1/watches", body, idempotencyKey: idempotencyKeyOf(step) }, onLost);
      if (answer !== null) this.#knowledge.noteWatch(step, step.watch, answer.status, answer.body);
    });
  }

  async #batch(step: Of<"batch">): Promise<void> {
    const { plan, scheduler, auditor } = this.#parts;
    const body = { watches: step.watches.map((wish) => bodyOfWatch(plan, wish, scheduler.wallMs)) };
    await this.#knowledge.naming(step.account, step.watches, async (onLost) => {
      const answer = await this.#knowledge
        .client(step)
        .send({ method: "POST", path: "/v1/watches/batch", body, idempotencyKey: idempotencyKeyOf(step) }, onLost);
      if (answer === null) return;
      if (answer.status !== 200) return this.#knowledge.unexpected(step, answer);
      const results = answer.body["results"] as readonly Json[];
      if (results.length !== step.watches.length) auditor.violate("batch", `${results.length} results for ${step.watches.length} items`);
      for (const [index, wish] of step.watches.entries()) {
        const result = results[index];
        if (result !== undefined)
          this.#knowledge.noteWatch(step, wish, result["status"] as number, (result["watch"] ?? result["problem"]) as Json);
      }
    });
  }

  async #hook(step: Of<"hook">): Promise<void> {
    const { plan, auditor } = this.#parts;
    const url = plan.urls[step.url];
    if (url === undefined) return;
    const body = {
      url: url.url,
      ...(step.events === null ? {} : { events: step.events }),
      ...(url.format === null ? {} : { format: url.format }),
      ...(url.secret === null ? {} : { signing_secret: url.secret }),
    };
    const wish = { call: 0, url: step.url, events: step.events, metadata: {}, expiresInMs: null };
    await this.#knowledge.naming(step.account, [wish], async (onLost) => {
      let isAnyLost = false;
      const onHookLost = () => {
        isAnyLost = true;
        onLost();
      };
      const answer = await this.#knowledge
        .client(step)
        .send({ method: "POST", path: "/v1/hooks", body, idempotencyKey: idempotencyKeyOf(step) }, onHookLost);
      const isRefused = answer === null || answer.status === 403 || answer.status === 409;
      if (isRefused && isAnyLost) auditor.ledger.lostHooks.push(url.url);
      if (isRefused) return;
      if (answer.status !== 200 && answer.status !== 201) return this.#knowledge.unexpected(step, answer);
      const id = answer.body["id"] as string;
      this.#knowledge.noteEndpoint(this.#knowledge.client(step).endpointOf(url), answer.body["endpoint_id"], answer.body["secret"]);
      this.#knowledge.madeBy(step).hookIds.push(id);
      if (!auditor.ledger.hooks.has(id))
        auditor.ledger.hooks.set(id, {
          id,
          account: step.account,
          url: url.url,
          events: step.events,
          askedAtMs: answer.status === 201 ? step.atMs : 0,
          deleteAskedAtMs: null,
          deletedAtMs: null,
        });
    });
  }

  async #deleteHook(step: Of<"delete_hook">): Promise<void> {
    const { auditor, scheduler } = this.#parts;
    for (const id of this.#knowledge.made.get(step.of)?.hookIds ?? []) {
      const hook = auditor.ledger.hooks.get(id);
      if (hook === undefined || hook.account !== step.account) continue;
      hook.deleteAskedAtMs ??= scheduler.nowMs;
      const answer = await this.#knowledge.client(step).send({ method: "DELETE", path: `/v1/hooks/${id}` });
      if (answer === null) continue;
      if (answer.status === 204) hook.deletedAtMs ??= scheduler.nowMs;
      else this.#knowledge.unexpected(step, answer);
    }
  }

  async #deleteWatch(step: Of<"delete_watch">): Promise<void> {
    const { auditor, scheduler } = this.#parts;
    const { watches } = auditor.ledger;
    for (const id of this.#knowledge.made.get(step.of)?.watchIds ?? []) {
      const watch = watches.get(id);
      if (watch === undefined || watch.account !== step.account) continue;
      watch.deleteAskedAtMs ??= scheduler.nowMs;
      watch.isPurgeAsked ||= step.purge;
      const answer = await this.#knowledge
        .client(step)
        .send({ method: "DELETE", path: `/v1/watches/${id}${step.purge ? "?purge=true" : ""}` });
      if (answer === null) continue;
      // A purge may have been asked for while this request waited.
      const mayBeGone = watch.isPurgeAsked || this.#knowledge.isShortRetention();
      if (answer.status === 204 || (answer.status === 404 && mayBeGone)) watch.deletedAtMs ??= scheduler.nowMs;
      else this.#knowledge.unexpected(step, answer, id);
      if (answer.status === 204 && step.purge) await this.#checkPurged(step, id);
    }
  }

  /** A purge holds from its answer on, however much of it is left to do. */
  async #checkPurged(step: Of<"delete_watch">, id: string): Promise<void> {
    const client = this.#knowledge.client(step);
    for (const path of [`/v1/watches/${id}`, `/v1/watches/${id}/events`]) {
      const answer = await client.send({ method: "GET", path });
      if (answer !== null && answer.status !== 404)
        this.#parts.auditor.violate("purge", `GET ${path} is answered ${answer.status} after the watch was purged`, id);
    }
    const shown = await client.send({ method: "GET", path: `/v1/deliveries?watch_id=${id}` });
    if (shown !== null && (shown.body["data"] as readonly unknown[] | undefined)?.length !== 0)
      this.#parts.auditor.violate("purge", "a purged watch has deliveries", id);
  }

  async #patch(step: Of<"patch">): Promise<void> {
    const { plan, scheduler } = this.#parts;
    const url = plan.urls[step.url];
    const endpoint = url === undefined ? null : this.#knowledge.client(step).endpointOf(url);
    if (endpoint === null || endpoint.id === null) return;
    const {
      state,
      format,
      max_in_flight: maxInFlight,
      max_per_second: maxPerSecond,
    } = step.change as {
      format?: string;
      state?: "enabled" | "paused" | "disabled";
      max_in_flight?: number;
      max_per_second?: number | null;
    };
    const before = endpoint.maxInFlight;
    if (maxInFlight !== undefined) endpoint.maxInFlight = Math.max(before, maxInFlight);
    if (typeof maxPerSecond === "number") endpoint.slowestPerSecond = Math.min(maxPerSecond, endpoint.slowestPerSecond ?? Infinity);
    if (state === "disabled") endpoint.mayBeDisabled = true;
    if (state === "paused") endpoint.mayBePaused = true;
    if (format !== undefined) {
      endpoint.format = null;
      endpoint.formatChanges += 1;
      endpoint.formatChangesAsked += 1;
    }
    const { formatChanges, formatChangesAsked } = endpoint;
    // An endpoint that leaves `disabled`, also for a pause, restarts its schedules.
    const { result: answer, wasAlone } = await this.#knowledge.opening([endpoint], state !== undefined, () =>
      this.#knowledge.client(step).send({ method: "PATCH", path: `/v1/endpoints/${endpoint.id}`, body: step.change }),
    );
    if (format !== undefined) endpoint.formatChanges -= 1;
    if (answer === null) return;
    if (answer.status !== 200)
      return this.#knowledge.isShortRetention() ? undefined : this.#knowledge.unexpected(step, answer, endpoint.url);
    // Of two changes at a time the service may have taken either last.
    const isSoleChange = formatChanges === 1 && formatChangesAsked === endpoint.formatChangesAsked;
    if (format !== undefined) endpoint.format = isSoleChange ? { name: format, fromMs: scheduler.nowMs } : null;
    if (maxInFlight !== undefined && wasAlone) endpoint.maxInFlight = maxInFlight;
    if ((state === "paused" || state === "disabled") && wasAlone) endpoint.closed = { state, atMs: scheduler.nowMs };
    return undefined;
  }

  async #rotate(step: Of<"rotate">): Promise<void> {
    const { plan, scheduler } = this.#parts;
    const url = plan.urls[step.url];
    const endpoint = url === undefined ? null : this.#knowledge.client(step).endpointOf(url);
    if (endpoint === null || endpoint.id === null) return;
    if (endpoint.rotations > 0) endpoint.isSecretUnknown = true;
    endpoint.rotations += 1;
    const answer = await this.#knowledge.client(step).send({
      method: "POST",
      path: `/v1/endpoints/${endpoint.id}/rotate-secret`,
      body: { grace_seconds: step.graceSeconds },
      idempotencyKey: idempotencyKeyOf(step),
    });
    endpoint.rotations -= 1;
    if (answer?.status === 200)
      endpoint.secrets.push({ secret: answer.body["signing_secret"] as string, fromMs: scheduler.nowMs, untilMs: null });
    else endpoint.isSecretUnknown = true;
    if (answer !== null && answer.status !== 200 && !this.#knowledge.isShortRetention())
      this.#knowledge.unexpected(step, answer, endpoint.url);
  }

  async #retry(step: Of<"retry">): Promise<void> {
    const { auditor, scheduler, life } = this.#parts;
    const client = this.#knowledge.client(step);
    const listedAtMs = scheduler.nowMs;
    const deliveries = await client.list(`/v1/deliveries?status=${step.status}`);
    const delivery = deliveries[Math.floor(step.pick * deliveries.length)];
    if (delivery === undefined) return;
    const url = auditor.ledger.endpointById(delivery["endpoint_id"] as string)?.url;
    const eventId = delivery["event_id"] as string;
    if (url === undefined || delivery["event_type"] === "endpoint.test") return;
    const known = auditor.ledger.delivery(
      eventId,
      url,
      auditor.ledger.factsById.get(eventId) ?? { watch_id: String(delivery["watch_id"] ?? "") },
    );
    let askedAtMs = scheduler.nowMs;
    let startsBefore = life.starts;
    const onTry = () => {
      known.manualAsked += 1;
      askedAtMs = scheduler.nowMs;
      startsBefore = life.areAllUp ? life.starts : -1;
    };
    const answer = await client.send({ method: "POST", path: `/v1/deliveries/${String(delivery["id"])}/retry`, body: {}, onTry });
    if (answer !== null && ![202, 404, 409].includes(answer.status)) this.#knowledge.unexpected(step, answer);
    if (answer?.status !== 202) return;
    const isSettled = answer.body["status"] !== "pending";
    await checkAcceptedRetry({ auditor, life, client }, { delivery: known, listedAtMs, askedAtMs, startsBefore, isSettled });
  }

  async #recover(step: Of<"recover">): Promise<void> {
    const { plan } = this.#parts;
    const url = plan.urls[step.url];
    const endpoint = url === undefined ? null : this.#knowledge.client(step).endpointOf(url);
    if (endpoint === null || endpoint.id === null) return;
    const { result: answer } = await this.#knowledge.opening([endpoint], false, () =>
      this.#knowledge.client(step).send({
        method: "POST",
        path: `/v1/endpoints/${endpoint.id}/recover`,
        body: { since: "2020-01-01T00:00:00.000Z", until: "2040-01-01T00:00:00.000Z" },
        idempotencyKey: idempotencyKeyOf(step),
      }),
    );
    if (answer !== null && ![202, 409].includes(answer.status) && !this.#knowledge.isShortRetention())
      this.#knowledge.unexpected(step, answer, endpoint.url);
  }

  async #test(step: Of<"test">): Promise<void> {
    const { plan } = this.#parts;
    const url = plan.urls[step.url];
    const endpoint = url === undefined ? null : this.#knowledge.client(step).endpointOf(url);
    if (endpoint === null || endpoint.id === null) return;
    const answer = await this.#knowledge.client(step).send({
      method: "POST",
      path: `/v1/endpoints/${endpoint.id}/test`,
      body: {},
      idempotencyKey: idempotencyKeyOf(step),
    });
    if (answer !== null && ![200, 409].includes(answer.status) && !this.#knowledge.isShortRetention())
      this.#knowledge.unexpected(step, answer, endpoint.url);
  }

  async #wait(step: Of<"wait">): Promise<void> {
    const id = this.#knowledge.made.get(step.of)?.watchIds[0];
    const watch = id === undefined ? undefined : this.#parts.auditor.ledger.watches.get(id);
    if (id === undefined || watch === undefined || watch.account !== step.account) return;
    const answer = await this.#knowledge.client(step).send({ method: "GET", path: `/v1/watches/${id}?wait=${step.seconds}` });
    if (answer !== null && answer.status !== 200 && !watch.isPurgeAsked && !this.#knowledge.isShortRetention())
      this.#knowledge.unexpected(step, answer, id);
  }

  async #look(step: Of<"look">): Promise<void> {
    const path = step.at === "ready" ? "/readyz" : `/v1/${step.at}`;
    const answer = await this.#knowledge.client(step).send({ method: "GET", path });
    if (answer !== null && answer.status !== 200) this.#knowledge.unexpected(step, answer);
  }

  async #flood(step: Of<"flood">): Promise<void> {
    const { life } = this.#parts;
    const client = this.#knowledge.client(step);
    const answers = await Promise.all(
      Array.from({ length: step.count }, () => life.ask({ method: "GET", path: "/v1/me", key: client.key })),
    );
    for (const answer of answers)
      if (answer !== "lost" && ![200, 429, 503].includes(answer.status))
        this.#knowledge.unexpected(step, { status: answer.status, body: {}, text: answer.text });
  }

  async #revokeKey(step: Of<"revoke_key">): Promise<void> {
    const { life, auditor } = this.#parts;
    const client = this.#knowledge.client(step);
    const me = await client.send({ method: "GET", path: "/v1/me" });
    if (me?.status !== 200) return;
    const created = await life.operate((operator) => operator.createKey(me.body["id"] as string));
    if (created === null) return;
    const use = async () => {
      const answer = await life.ask({ method: "GET", path: "/v1/me", key: created.key });
      return answer === "lost" ? 0 : answer.status;
    };
    const before = await use();
    if (before === 401) auditor.violate("keys", "a key that was just made is refused");
    const revoked = await life.operate((operator) => operator.revokeKey(created.keyId).then(() => true));
    if (revoked === null) return;
    await client.sleep(revokedAfterMs + 50);
    if ((await use()) === 200) auditor.violate("keys", "a key that was revoked 5 s ago is taken");
  }
}

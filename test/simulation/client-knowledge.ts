import type { Answered, Client, ClientParts, Json } from "./client.ts";
import { registrationName } from "./ledger.ts";
import type { KnownEndpoint } from "./ledger.ts";
import type { Step, WatchWish } from "./plan.ts";

export type KnowledgeParts = ClientParts & { readonly clients: readonly Client[] };

export type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** Writes into the ledger what clients were answered, and what they cannot know while a request is under way. */
export class ClientKnowledge {
  readonly #parts: KnowledgeParts;
  /** What a step made: the ids of watches and hooks. */
  readonly made = new Map<number, { readonly watchIds: string[]; readonly hookIds: string[] }>();

  constructor(parts: KnowledgeParts) {
    this.#parts = parts;
  }

  /** Requests that name URLs may enable their endpoints. */
  async naming(account: number, wishes: readonly WatchWish[], ask: (onLost: () => void) => Promise<void>): Promise<void> {
    const { plan, auditor } = this.#parts;
    const client = this.#parts.clients[account];
    const endpoints = wishes.flatMap(({ url }) => {
      const planned = url === null ? undefined : plan.urls[url];
      return planned === undefined || client === undefined ? [] : [client.endpointOf(planned)];
    });
    const onLost = () => {
      for (const wish of wishes)
        auditor.ledger.lostRegistrations.add(
          registrationName(account, plan.calls[wish.call]?.sid, wish.url === null ? null : plan.urls[wish.url]?.url),
        );
    };
    await this.opening(
      endpoints,
      endpoints.some(({ mayBeDisabled }) => mayBeDisabled),
      () => ask(onLost),
    );
  }

  /**
   * While it runs nothing is known of whether these are open; `enables`: pauses may be forgotten by it. `wasAlone` is false
   * if another such request ran at some time beside it: the service may have taken the two in either order.
   */
  async opening<T>(
    endpoints: readonly KnownEndpoint[],
    enables: boolean,
    ask: () => Promise<T>,
  ): Promise<{ readonly result: T; readonly wasAlone: boolean }> {
    const { scheduler } = this.#parts;
    const isFirst = endpoints.every(({ openings }) => openings === 0);
    for (const endpoint of endpoints) {
      endpoint.openings += 1;
      endpoint.openingsAsked += 1;
    }
    const askedBefore = endpoints.map(({ openingsAsked }) => openingsAsked);
    const result = await ask();
    const wasAlone = isFirst && endpoints.every(({ openingsAsked }, index) => openingsAsked === askedBefore[index]);
    for (const endpoint of endpoints) {
      endpoint.openings -= 1;
      endpoint.gone = null;
      if (enables || endpoint.closed?.state === "disabled") {
        endpoint.closed = null;
        endpoint.floors = [];
      }
      endpoint.renewedAtMs = scheduler.nowMs;
    }
    return { result, wasAlone };
  }

  noteWatch(step: Of<"register" | "batch">, wish: WatchWish, status: number, body: Json): void {
    const sid = this.#parts.plan.calls[wish.call]?.sid ?? "";
    if (status !== 200 && status !== 201) return this.judgeRefusal(step, status, body);
    return this.noteMade(step, { ...wish, sid }, status, body);
  }

  /** A watch that was answered. */
  noteMade(
    step: Of<"register" | "batch" | "place">,
    wish: Pick<WatchWish, "url" | "events"> & { readonly sid: string },
    status: number,
    body: Json,
  ): void {
    const { plan, auditor } = this.#parts;
    const { sid } = wish;
    const url = wish.url === null ? undefined : plan.urls[wish.url];
    const id = body["id"] as string;
    if (body["call_sid"] !== sid || body["callback_url"] !== (url?.url ?? null))
      auditor.violate("registration", `${JSON.stringify(body)} answers a registration of ${sid} for ${url?.url}`, id);
    if (url !== undefined) this.noteEndpoint(this.client(step).endpointOf(url), body["endpoint_id"], body["signing_secret"]);
    this.madeBy(step).watchIds.push(id);
    if (!auditor.ledger.watches.has(id))
      auditor.ledger.watches.set(id, {
        id,
        account: step.account,
        sid,
        url: url?.url ?? null,
        events: wish.events,
        askedAtMs: status === 201 ? step.atMs : 0,
        deleteAskedAtMs: null,
        deletedAtMs: null,
        isPurgeAsked: false,
      });
  }

  noteEndpoint(endpoint: KnownEndpoint, id: unknown, secret: unknown): void {
    const { scheduler, auditor } = this.#parts;
    if (typeof id === "string" && endpoint.id !== id) {
      if (endpoint.id !== null && !this.isShortRetention()) auditor.violate("endpoints", `${endpoint.url} has two of them`, endpoint.url);
      // Retention deleted the endpoint and this is a new one, so nothing known of the old one holds.
      Object.assign(endpoint, { id, closed: null, gone: null, floors: [], format: null });
    }
    if (typeof secret === "string") endpoint.secrets.push({ secret, fromMs: scheduler.nowMs, untilMs: null });
    else if (endpoint.secrets.length === 0) endpoint.isSecretUnknown = true;
  }

  /** Refusals that a plan may lead to; everything else is our fault. */
  judgeRefusal(step: Of<"register" | "batch" | "place">, status: number, body: Json): void {
    const type = String(body["type"]).replace("urn:ringback:problem:", "");
    const expected = ["watch-differs", "endpoint-differs", "quota-exceeded", "source-saturated"];
    const errors = body["errors"] as readonly Json[] | undefined;
    const isBadTime = errors?.some(({ pointer }) => pointer === "/expires_at" || pointer === "/callback_url") ?? false;
    if (expected.includes(type) || (status === 422 && isBadTime)) return;
    this.unexpected(step, { status, body, text: JSON.stringify(body) });
  }

  isShortRetention(): boolean {
    return this.#parts.auditor.limits.retentionMs < 86_400_000;
  }

  unexpected(step: Step, { status, text }: Answered, ...about: readonly string[]): void {
    this.#parts.auditor.violate("answer", `${step.kind} was answered ${status} ${text}`, ...about);
  }

  client({ account }: { readonly account: number }): Client {
    const client = this.#parts.clients[account];
    if (client === undefined) throw new Error(`no account ${account}`);
    return client;
  }

  madeBy(step: Step) {
    let made = this.made.get(step.id);
    if (made === undefined) {
      made = { watchIds: [], hookIds: [] };
      this.made.set(step.id, made);
    }
    return made;
  }
}

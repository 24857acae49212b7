import type { Auditor } from "./auditor.ts";
import type { ApiAnswer, ApiRequest } from "./engine-adapter.ts";
import type { KnownEndpoint } from "./ledger.ts";
import { accountKeys } from "./plan.ts";
import type { Plan, PlannedUrl, Step, WatchWish } from "./plan.ts";
import { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Fleet } from "./fleet.ts";
import type { Timeline } from "./timeline.ts";

export type ClientParts = {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly timeline: Timeline;
  readonly auditor: Auditor;
  readonly life: Fleet;
};

export type Json = Readonly<Record<string, unknown>>;
export type Answered = { readonly status: number; readonly body: Json; readonly text: string };
type Asked = Omit<ApiRequest, "key" | "headers"> & {
  readonly idempotencyKey?: string | null;
  /** Before each try. */
  readonly onTry?: () => void;
  /** At each answer, also one that is lost on the way or leads to another try. */
  readonly onAnswer?: (answer: ApiAnswer) => void;
};

const maxTries = 60;
const lostOnTheWay = 0.03;

/** One account's side of the API: asks until it has an answer, as a client does that must not lose anything. */
export class Client {
  readonly #parts: ClientParts;
  readonly #random: Random;
  readonly account: number;
  key: string;

  constructor(parts: ClientParts, account: number) {
    this.#parts = parts;
    this.account = account;
    this.key = accountKeys[account] ?? "";
    this.#random = new Random(parts.plan.seed, "client", account);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.scheduler.schedule(ms, resolve));
  }

  /** Sends a request until it is answered; `null` if every try was lost. Calls `onLost` for each lost answer, after which the request may have taken effect. */
  async send(asked: Asked, onLost: () => void = () => undefined): Promise<Answered | null> {
    const { life, auditor, timeline } = this.#parts;
    const { idempotencyKey = null } = asked;
    const headers = idempotencyKey === null ? {} : { "idempotency-key": idempotencyKey };
    for (let tries = 0; tries < maxTries; tries++) {
      await this.sleep(this.#random.latencyMs(5, 60));
      if (!life.isUp) {
        await this.sleep(500);
        continue;
      }
      asked.onTry?.();
      const { method, path, body } = asked;
      const answer = await life.ask({ method, path, key: this.key, headers, ...(body === undefined ? {} : { body }) });
      if (answer === "lost") {
        onLost();
        continue;
      }
      timeline.noteOf(
        () => `${method} ${path} ${body === undefined ? "" : JSON.stringify(body)} -> ${answer.status} ${shortened(answer.text)}`,
        () => namesOf(asked, answer),
      );
      asked.onAnswer?.(answer);
      this.#checkKeyed(asked, answer);
      if (this.#random.chance(lostOnTheWay)) {
        timeline.note("that answer was lost on the way");
        onLost();
        continue;
      }
      if (isToBeRepeated(answer)) {
        if (answer.status === 500 && auditor.scheduler.nowMs > auditor.brokenUntilMs)
          auditor.violate("no 500", `${asked.method} ${asked.path}: ${answer.text}`, ...namesOf(asked, answer));
        if (answer.status >= 500) onLost();
        await this.sleep(1000);
        continue;
      }
      return { status: answer.status, body: bodyOf(answer), text: answer.text };
    }
    return null;
  }

  /** All of a list, page by page. */
  async list(path: string, limit = 200): Promise<readonly Json[]> {
    const items: Json[] = [];
    let cursor: string | null = null;
    do {
      const separator = path.includes("?") ? "&" : "?";
      const page: Answered | null = await this.send({
        method: "GET",
        path: `${path}${separator}limit=${limit}${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
      });
      if (page === null || page.status !== 200) return items;
      items.push(...(page.body["data"] as readonly Json[]));
      cursor = page.body["next_cursor"] as string | null;
    } while (cursor !== null);
    return items;
  }

  endpointOf(url: PlannedUrl): KnownEndpoint {
    const { auditor } = this.#parts;
    const endpoint = auditor.ledger.endpoint(url.account, url.url, auditor.limits.endpointMaxInFlight);
    // After its retention an endpoint is created again, with another secret.
    if (auditor.limits.retentionMs < 86_400_000) endpoint.isSecretUnknown = true;
    if (url.secret !== null && endpoint.secrets.length === 0) endpoint.secrets.push({ secret: url.secret, fromMs: -1, untilMs: null });
    return endpoint;
  }

  /** An answer under a key is the same for good, byte for byte. */
  #checkKeyed({ idempotencyKey, path }: Asked, { status, text }: ApiAnswer): void {
    if ((idempotencyKey ?? null) === null || status < 200 || status > 299) return;
    const { auditor } = this.#parts;
    const name = `${this.account} ${path} ${idempotencyKey}`;
    // Of a placing whose watch is gone the id is left.
    if (path === "/v1/calls" && auditor.limits.retentionMs < 86_400_000) return;
    const before = auditor.ledger.keyedAnswers.get(name);
    if (before === undefined) auditor.ledger.keyedAnswers.set(name, text);
    else if (before !== text) auditor.violate("idempotency", `${path}: ${before} became ${text}`);
  }
}

export function bodyOfWatch(plan: Plan, wish: WatchWish, nowMs: number): Json {
  const call = plan.calls[wish.call];
  const url = wish.url === null ? null : plan.urls[wish.url];
  const { events, metadata, expiresInMs } = wish;
  return {
    call_sid: call?.sid ?? "OUT-none",
    callback_url: url?.url ?? null,
    ...(events === null ? {} : { events }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(url === null || url === undefined || url.format === null ? {} : { format: url.format }),
    ...(url === null || url === undefined || url.secret === null ? {} : { signing_secret: url.secret }),
    ...(expiresInMs === null ? {} : { expires_at: new Date(nowMs + expiresInMs).toISOString() }),
  };
}

export function idempotencyKeyOf(step: Step & { readonly keyed: boolean }): string | null {
  return step.keyed ? `step-${step.id}` : null;
}

function bodyOf({ text }: ApiAnswer): Json {
  return text === "" ? {} : (JSON.parse(text) as Json);
}

/** A call that may ring: a person decides, so that no repeat helps. */
function isCallUnknown(text: string): boolean {
  return text.includes("problem:call-unknown");
}

/** Ours to mend (5xx), too fast (429), or a request under the same key that still runs. */
function isToBeRepeated({ status, text }: ApiAnswer): boolean {
  return (
    (status >= 500 && !isCallUnknown(text)) ||
    (status === 429 && !text.includes("source-saturated")) ||
    (status === 409 && text.includes("idempotency-in-progress"))
  );
}

function shortened(text: string): string {
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}

function namesOf({ path }: Asked, { text }: ApiAnswer): readonly string[] {
  return [...new Set(`${path} ${text}`.match(/\b(?:wch|hk|ep|evt|dlv|plc)_[0-9A-Za-z]+|OUT-[\w-]+/g) ?? ["(a client)"])].slice(0, 50);
}

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent, request } from "undici";

/** Of one request of a preparation. */
const prepareLimitMs = 60_000;

/** What the program of the attackers is given, as JSON. */
export type AttackJob = {
  readonly attack: string;
  readonly serviceUrls: readonly string[];
  readonly key: string;
  readonly upstreamUrl: string;
  /** Duration of the attack. Its preparation is not part of it. */
  readonly attackMs: number;
  /** Divides the numbers of rows that an attack prepares. */
  readonly scale: number;
};

/** Number of answers of the service by status code; `failed` counts exchanges without an answer. */
export type Answers = Readonly<Record<string, number>>;

export type Answer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

/** One way in which an account may burden its neighbours. */
export type Attack = {
  /** What the attack needs and its victim's quiet figures do not see. */
  readonly prepare?: (attacker: Attacker) => Promise<void>;
  /** Burdens the service until `attacker.isOver`. */
  readonly run: (attacker: Attacker) => Promise<void>;
};

/** Requests of an account that keep within a duration, a receiver for its webhooks, and a count of what the service answered. */
export class Attacker implements AsyncDisposable {
  readonly job: AttackJob;
  readonly #agent = new Agent({ connections: 1024, pipelining: 1, allowH2: false });
  readonly #answers: Record<string, number> = {};
  readonly #receiver = createServer((incoming, response) => {
    incoming.resume();
    if (incoming.url?.startsWith("/hang") === true) return;
    response.writeHead(incoming.url?.startsWith("/fail") === true ? 503 : 204).end();
  });
  #sent = 0;
  #endsAtMs = 0;

  private constructor(job: AttackJob) {
    this.job = job;
  }

  static async start(job: AttackJob): Promise<Attacker> {
    const attacker = new Attacker(job);
    await new Promise<void>((resolve) => attacker.#receiver.listen(0, "0.0.0.0", resolve));
    return attacker;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAtMs;
  }

  /** Runs an attack for its duration. Resolves with the answers of the service. */
  async run(attack: Attack): Promise<Answers> {
    for (const name of Object.keys(this.#answers)) this.#answers[name] = 0;
    this.#endsAtMs = performance.now() + this.job.attackMs;
    await attack.run(this);
    return Object.fromEntries(Object.entries(this.#answers).filter(([, count]) => count > 0));
  }

  /** Returns the URL of a receiver that answers 204 (`ok`), 503 (`fail`) or never (`hang`). Each `host` is a host of its own. */
  callback(kind: "ok" | "fail" | "hang", host: number, path: number | string = 0): string {
    const { port } = this.#receiver.address() as AddressInfo;
    return `http://127.1.${Math.floor(host / 250)}.${1 + (host % 250)}:${port}/${kind}/${path}`;
  }

  /** Sends a request to the instances in turn. Never rejects: an exchange without an answer has the status 0. */
  async send(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const url = this.nextUrl();
    const leftMs = this.#endsAtMs === 0 ? prepareLimitMs : Math.max(1000, Math.round(this.#endsAtMs - performance.now()));
    const signal = AbortSignal.timeout(leftMs);
    try {
      const answer = await request(url + path, {
        method,
        dispatcher: this.#agent,
        headers: {
          authorization: `Bearer ${this.job.key}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        signal,
      });
      const text = await answer.body.text();
      this.count(String(answer.statusCode));
      return { status: answer.statusCode, body: text.startsWith("{") ? (JSON.parse(text) as Answer["body"]) : {} };
    } catch {
      this.count("failed");
      return { status: 0, body: {} };
    }
  }

  /** Registers watches in one batch. */
  watch(watches: readonly object[], headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send("POST", "/v1/watches/batch", { watches }, headers);
  }

  /** Repeats `once` side by side until the attack is over, or `most` times in all. */
  async repeat(sideBySide: number, once: (index: number) => Promise<unknown>, most = 50_000): Promise<void> {
    let next = 0;
    const loop = async (): Promise<void> => {
      while (!this.isOver && next < most) await once(next++);
    };
    await Promise.all(Array.from({ length: sideBySide }, loop));
  }

  /** Waits until the attack is over. */
  async untilOver(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, this.#endsAtMs - performance.now())));
  }

  /** Gives an order to the upstream: `end/<SID>` ends a call, `calm` ends the faults. */
  async order(what: string): Promise<void> {
    const { body } = await request(`${this.job.upstreamUrl}/${what}`, { method: "POST", dispatcher: this.#agent });
    await body.dump();
  }

  count(answer: string): void {
    this.#answers[answer] = (this.#answers[answer] ?? 0) + 1;
  }

  /** Returns the URL of an instance, each in turn. */
  nextUrl(): string {
    const { serviceUrls } = this.job;
    return serviceUrls[this.#sent++ % serviceUrls.length] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#receiver.closeAllConnections();
    this.#receiver.close();
    await this.#agent.destroy();
  }
}

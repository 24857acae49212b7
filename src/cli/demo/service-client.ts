import { Agent, request } from "undici";

export type JsonObject = Readonly<Record<string, unknown>>;

export type ServiceAnswer = {
  readonly statusCode: number;
  /** Body of the answer; an empty object if it is not a JSON object. */
  readonly body: JsonObject;
};

const timeoutMs = 15_000;

/** HTTP client of a running service. Rejects if the service is unreachable. */
export class ServiceClient implements AsyncDisposable {
  readonly #url: URL;
  readonly #key: string;
  readonly #agent = new Agent({ headersTimeout: timeoutMs, bodyTimeout: timeoutMs, connectTimeout: timeoutMs });

  constructor(url: URL, key: string) {
    this.#url = url;
    this.#key = key;
  }

  get(path: string): Promise<ServiceAnswer> {
    return this.#send("GET", path, null);
  }

  post(path: string, body: JsonObject): Promise<ServiceAnswer> {
    return this.#send("POST", path, JSON.stringify(body));
  }

  patch(path: string, body: JsonObject): Promise<ServiceAnswer> {
    return this.#send("PATCH", path, JSON.stringify(body));
  }

  delete(path: string): Promise<ServiceAnswer> {
    return this.#send("DELETE", path, null);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agent.destroy();
  }

  async #send(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body: string | null): Promise<ServiceAnswer> {
    const headers = { authorization: `Bearer ${this.#key}`, ...(body === null ? {} : { "content-type": "application/json" }) };
    const answer = await request(new URL(path, this.#url), { method, headers, body, dispatcher: this.#agent });
    const parsed: unknown = await answer.body.json().catch(() => null);
    const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    return { statusCode: answer.statusCode, body: isObject ? (parsed as JsonObject) : {} };
  }
}

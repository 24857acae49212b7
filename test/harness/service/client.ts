import { Agent, request } from "undici";
import { expect, onTestFinished } from "vitest";
import { AnswerCheck } from "./answer-check.ts";
import { apiKey } from "./environment.ts";

export type Json = Readonly<Record<string, unknown>>;
type RequestHeaders = Readonly<Record<string, string | readonly string[]>>;

/** Answer as it came over the wire. */
export type Answer = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  /** Parsed JSON; an empty object if the answer is not JSON. */
  readonly body: Json;
};

/** Body of an error (RFC 9457). */
export type Problem = {
  readonly type: string;
  readonly status: number;
  readonly detail: string;
  readonly request_id: string;
  readonly errors?: readonly { readonly pointer?: string; readonly parameter?: string; readonly detail: string }[];
  readonly [extension: string]: unknown;
};

/** Sends one request. `body` is sent as JSON unless it is a string or bytes. Rejects if the connection breaks. */
export type Send = (method: string, path: string, body?: unknown, headers?: RequestHeaders) => Promise<Answer>;

/** A client with one API key. */
export type Client = {
  readonly send: Send;
  readonly get: (path: string, headers?: RequestHeaders) => Promise<Answer>;
  readonly post: (path: string, body?: unknown, headers?: RequestHeaders) => Promise<Answer>;
  readonly put: (path: string, body?: unknown, headers?: RequestHeaders) => Promise<Answer>;
  readonly patch: (path: string, body?: unknown, headers?: RequestHeaders) => Promise<Answer>;
  readonly delete: (path: string, headers?: RequestHeaders) => Promise<Answer>;
  /** Returns the `data` of a page. */
  readonly list: <T = Json>(path: string) => Promise<readonly T[]>;
};

/** Every request goes through `send`. */
export const clientOn = (send: Send): Client => ({
  send,
  get: (path, headers) => send("GET", path, undefined, headers),
  post: (path, body, headers) => send("POST", path, body, headers),
  put: (path, body, headers) => send("PUT", path, body, headers),
  patch: (path, body, headers) => send("PATCH", path, body, headers),
  delete: (path, headers) => send("DELETE", path, undefined, headers),
  list: async <T>(path: string) => (await send("GET", path)).body["data"] as readonly T[],
});

/** Adds the parsed body to what came over the wire. */
export function answerOf(seen: Omit<Answer, "body">): Answer {
  const isJson = seen.text !== "" && /\bjson\b/.test(String(seen.headers["content-type"]));
  return { ...seen, body: (isJson ? JSON.parse(seen.text) : {}) as Json };
}

export const problemOf = ({ body }: Answer): Problem => body as unknown as Problem;

/** Where the errors of a 422 are: pointers into the body, or names of parameters. */
export const faultsOf = (answer: Answer): readonly (string | undefined)[] =>
  (problemOf(answer).errors ?? []).map(({ pointer, parameter }) => pointer ?? parameter);

/** Of the document that all services serve: it differs in its servers alone, and a service makes it for a tenth of a second. */
let shared: AnswerCheck | null = null;

/** Returns a client over HTTP. Every answer is compared with the service's OpenAPI document. Its connections end with the test. */
export function clientOf(url: string, key = apiKey): Client {
  const agent = new Agent({ pipelining: 1 });
  onTestFinished(() => agent.destroy());
  let check: AnswerCheck | null = null;
  return clientOn(async (method, path, body, headers = {}) => {
    const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array ? (body ?? null) : JSON.stringify(body);
    const { statusCode, ...answer } = await request(new URL(path, url), {
      method: method as "GET",
      headers: { authorization: `Bearer ${key}`, ...(raw === null ? {} : { "content-type": "application/json" }), ...headers } as Record<
        string,
        string | string[]
      >,
      body: raw as string | Buffer | null,
      dispatcher: agent,
    });
    const seen = { status: statusCode, headers: answer.headers, text: await answer.body.text() };
    check ??= await checkOf(url, agent);
    expect(check?.faultsOf({ method, target: path, ...seen }) ?? []).toEqual([]);
    return answerOf(seen);
  });
}

/** `null` if the service serves no document: it still starts, or was killed. */
async function checkOf(url: string, agent: Agent): Promise<AnswerCheck | null> {
  const get = async (path: string) => {
    const { statusCode, body } = await request(new URL(path, url), { dispatcher: agent });
    return { statusCode, text: await body.text() };
  };
  try {
    // A service that starts answers 503 on every path.
    if (shared !== null) return (await get("/no-such-path")).statusCode === 404 ? shared : null;
    const { statusCode, text } = await get("/openapi.json");
    return statusCode === 200 ? (shared ??= new AnswerCheck(JSON.parse(text))) : null;
  } catch {
    return null;
  }
}

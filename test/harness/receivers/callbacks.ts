import { startReceiver } from "./receiver-zoo.ts";
import type { Behaviour } from "./receiver-zoo.ts";

/** One webhook as it reached a callback URL. */
export type Callback = {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Of this callback server, from 1. */
  readonly number: number;
  readonly connection: number;
};

/** A status, a status with headers and body, or the connection reset instead of an answer or within its head. */
export type CallbackAnswer =
  | number
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | "reset"
  | "broken head";

export type Callbacks = {
  readonly port: number;
  /** `http://127.0.0.1:port/path` */
  url(path?: string): string;
  readonly received: readonly Callback[];
  /** Received and not answered yet. */
  readonly unanswered: number;
  readonly mostUnanswered: number;
  /** Resolves once this number was received in all. */
  arrived(count: number): Promise<void>;
};

/** Starts a callback server that answers each webhook as `answer` decides, at once or when its promise resolves. Ends with the test. */
export async function startCallbacks(
  answer: (callback: Callback) => CallbackAnswer | Promise<CallbackAnswer> = () => 200,
  behaviour: Omit<Behaviour, "answer"> = {},
): Promise<Callbacks> {
  const received: Callback[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  let unanswered = 0;
  let mostUnanswered = 0;
  const receiver = await startReceiver({
    ...behaviour,
    answer: ({ head, body, socket, connection }) => {
      const callback = { ...parseHead(head), body, number: received.length + 1, connection };
      received.push(callback);
      unanswered += 1;
      mostUnanswered = Math.max(mostUnanswered, unanswered);
      for (const { count, resolve } of waiting) if (received.length >= count) resolve();
      void Promise.resolve(answer(callback)).then((answered) => {
        unanswered -= 1;
        if (answered === "reset") socket.resetAndDestroy();
        else if (answered === "broken head") socket.write("HTTP/1.1 2", () => socket.resetAndDestroy());
        else if (!socket.destroyed) socket.write(textOf(answered));
      });
    },
  });
  return {
    port: receiver.port,
    url: (path = "/hook") => `http://127.0.0.1:${receiver.port}${path}`,
    received,
    get unanswered() {
      return unanswered;
    },
    get mostUnanswered() {
      return mostUnanswered;
    },
    async arrived(count) {
      if (received.length >= count) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ count, resolve });
      await promise;
    },
  };
}

function parseHead(head: string): Pick<Callback, "method" | "path" | "headers"> {
  const [requestLine = "", ...lines] = head.split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const [method = "", path = ""] = requestLine.split(" ");
  return { method, path, headers: Object.fromEntries(headers) };
}

function textOf(answer: Exclude<CallbackAnswer, string>): string {
  const { status, headers = {}, body = "" } = typeof answer === "number" ? { status: answer } : answer;
  const lines = Object.entries({ ...headers, "content-length": String(Buffer.byteLength(body)) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `HTTP/1.1 ${status} Status\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

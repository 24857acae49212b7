import { createInterface } from "node:readline";
import { Agent, request } from "undici";
import type { ApiClient, JsonObject } from "../../http/mcp/api-client.ts";
import { answerRequest, errorCodes, errorReply, readMessage } from "../../http/mcp/protocol.ts";
import { readVariable, readVersion } from "../../service/config.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** Longer than the longest wait of a request to the API. */
const answerTimeoutMs = 45_000;
const defaultKeyVariable = "RINGBACK_API_KEY";

/** `mcp`: the Model Context Protocol over standard input and output, one message on each line. */
export const mcpCommand: Command = {
  summary: "serve the tools of a running service to an assistant (MCP over standard input and output)",
  usage: `  --url <url>             the service; http://127.0.0.1:8080 unless given
  --key-env <variable>    environment variable with the API key; ${defaultKeyVariable} unless given`,
  async run(args, terminal) {
    const { values } = readArguments(args, { texts: ["url", "key-env"] });
    const url = URL.parse(values.url ?? "http://127.0.0.1:8080");
    if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError("--url must be an http or https URL");
    const variable = values["key-env"] ?? defaultKeyVariable;
    const key = readVariable(variable);
    if (key === null) throw new UsageError(`${variable} is not set; it must hold an API key (--key-env names another variable)`);
    const agent = new Agent({ headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs });
    try {
      await serveLines(process.stdin, terminal, apiAt(url, key, agent));
    } finally {
      await agent.destroy();
    }
    return 0;
  },
};

/** Answers every line of the input until it ends, or until the signal of the terminal aborts. Requests run beside each other. */
async function serveLines(input: NodeJS.ReadableStream, { out, signal }: Parameters<Command["run"]>[1], api: ApiClient): Promise<void> {
  const facts = { version: readVersion() };
  const running = new Map<string | number, AbortController>();
  const answers = new Set<Promise<void>>();
  const lines = createInterface({ input });
  const stop = () => {
    lines.close();
    for (const ending of running.values()) ending.abort();
  };
  signal.addEventListener("abort", stop, { once: true });
  const answer = async (line: string): Promise<void> => {
    const message = readMessage(parsed(line));
    if (message === null)
      return out(JSON.stringify(errorReply(400, undefined, errorCodes.invalidRequest, "Not one message of JSON-RPC 2.0").body));
    const { id, method, params } = message;
    if (id === undefined) {
      const canceled = params?.["requestId"] as string | number | undefined;
      if (method === "notifications/cancelled" && canceled !== undefined) running.get(canceled)?.abort();
      return undefined;
    }
    const ending = new AbortController();
    running.set(id, ending);
    try {
      const { body } = await answerRequest(message, facts, api, ending.signal);
      if (!ending.signal.aborted) out(JSON.stringify(body));
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    } finally {
      running.delete(id);
    }
    return undefined;
  };
  for await (const line of lines) {
    if (line.trim() === "") continue;
    const done = answer(line).finally(() => answers.delete(done));
    answers.add(done);
  }
  await Promise.all(answers);
  signal.removeEventListener("abort", stop);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

/** Returns the API of a service elsewhere. */
function apiAt(url: URL, key: string, agent: Agent): ApiClient {
  return async ({ method, path, body, headers }, signal) => {
    const answer = await request(new URL(path, url), {
      method,
      headers: { authorization: `Bearer ${key}`, ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      dispatcher: agent,
      signal,
    });
    const value: unknown = await answer.body.json().catch(() => null);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return { status: answer.statusCode, body: isObject ? (value as JsonObject) : {} };
  };
}

import { expect, onTestFinished } from "vitest";
import { Agent, request } from "undici";
import { readConfig } from "../../src/service/config.ts";
import { createService } from "../../src/service/create-service.ts";
import type { Service, ServiceOverrides } from "../../src/service/create-service.ts";
import { AnswerCheck } from "./service/answer-check.ts";

export const serviceKey = "test-key-test-key-test-key";

/** An answer as it came over the wire. */
export type WireAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
};

export type Send = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string | readonly string[]>>,
) => Promise<WireAnswer>;

let check: AnswerCheck | null = null;

/**
 * Sends with the key; a `body` that is no string or buffer is sent as JSON. Every answer is held to the service's own
 * document. Its connections go with the test.
 */
export function clientOf(url: string, key = serviceKey): Send {
  const agent = new Agent({ pipelining: 1 });
  onTestFinished(() => agent.destroy());
  return async (method, path, body, headers = {}) => {
    const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array ? (body ?? null) : JSON.stringify(body);
    const answer = await request(`${url}${path}`, {
      method: method as "GET",
      headers: { authorization: `Bearer ${key}`, ...(raw === null ? {} : { "content-type": "application/json" }), ...headers } as Record<
        string,
        string | string[]
      >,
      body: raw as string | Buffer | null,
      dispatcher: agent,
    });
    const seen = { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
    check ??= new AnswerCheck(await (await request(`${url}/openapi.json`, { dispatcher: agent })).body.json());
    expect(check.faultsOf({ method, target: path, ...seen })).toEqual([]);
    return seen;
  };
}

export type LocalService = { readonly send: Send; readonly url: string; readonly service: Service; readonly stop: () => Promise<void> };

/** The whole service in this process, on a database in memory unless the environment says otherwise; stopped with the test. */
export async function localService(
  environment: Readonly<Record<string, string>> = {},
  overrides: ServiceOverrides = {},
): Promise<LocalService> {
  const result = readConfig({
    DATABASE_URL: "sqlite::memory:",
    RINGBACK_API_KEY: serviceKey,
    HOST: "127.0.0.1",
    PORT: "0",
    METRICS_PORT: "0",
    CALLBACK_ALLOW: "127.0.0.1/32",
    CALLBACK_ALLOW_HTTP: "true",
    LOG_LEVEL: "silent",
    ...environment,
  });
  if (result.kind === "invalid") throw new Error(result.faults.join("\n"));
  const service = await createService(result.config, result.secrets, overrides);
  onTestFinished(() => service.stop());
  const url = `http://127.0.0.1:${service.apiPort}`;
  return { service, url, send: clientOf(url), stop: () => service.stop() };
}

export function jsonOf(answer: WireAnswer): Record<string, unknown> {
  return JSON.parse(answer.text) as Record<string, unknown>;
}

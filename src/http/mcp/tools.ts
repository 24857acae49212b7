import { z } from "@hono/zod-openapi";
import { describeProblem } from "./api-client.ts";
import type { ApiAnswer, ApiClient, JsonObject } from "./api-client.ts";

/** Result of a tool as the protocol has it. A refusal is an error of the tool, so that the model can read it. */
export type ToolResult = {
  readonly content: readonly { readonly type: "text"; readonly text: string }[];
  readonly structuredContent?: JsonObject;
  readonly isError: boolean;
};

/** A tool as `tools/list` shows it. */
type ShownTool = {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: JsonObject;
  readonly annotations: { readonly readOnlyHint: boolean; readonly destructiveHint: boolean; readonly openWorldHint: boolean };
};

type Tool = {
  readonly shown: ShownTool;
  readonly call: (input: unknown, api: ApiClient, signal: AbortSignal) => Promise<ToolResult>;
};

/** Longest wait of a tool, in seconds: that of a request to the API. */
const maxWaitSeconds = 30;

const source = z.string().optional().describe("Name of the source. Left out: the account's own; `sandbox` for a scripted call.");
const callbackUrl = z
  .string()
  .nullable()
  .optional()
  .describe("URL that is sent the events. Left out or null: none, read the watch instead.");

/** Optional fields of a watch, as `POST /v1/watches` has them. */
const watchFields = {
  source,
  callback_url: callbackUrl,
  events: z.array(z.string()).optional().describe("Types or groups of events to send, such as `terminal`."),
  metadata: z.record(z.string(), z.string()).optional().describe("Your own ids, up to 16 pairs of strings, repeated in every event."),
  format: z.string().optional().describe("Format of the webhooks. Only with a callback_url."),
  request: z.record(z.string(), z.unknown()).optional().describe("Template of the format `template`. Only with a callback_url."),
  headers: z.record(z.string(), z.string()).optional().describe("Headers of the webhooks. Only with a callback_url."),
  signing_secret: z.string().optional().describe("Your own signing secret. Only with a callback_url."),
  expires_at: z.string().optional().describe("When to give up waiting for the end of the call, ISO 8601."),
};

const explained: Readonly<Record<string, string>> = { wch: "watches", dlv: "deliveries", ep: "endpoints" };

const definedTools: readonly Tool[] = [
  tool({
    name: "place_call",
    title: "Place a call",
    description:
      "Dials a telephone number through the upstream and watches the call. The call rings at a real person unless the source is `sandbox`, so ask first. The same idempotency_key never dials twice: use one key for each call that is meant, and repeat it after a failure.",
    input: z.strictObject({
      call: z
        .record(z.string(), z.unknown())
        .describe('Body of the upstream\'s trigger, such as {"to_number": "+441234567890"}. In the sandbox: {"scenario": "success"}.'),
      // Becomes a header.
      idempotency_key: z
        .string()
        .regex(/^[\x21-\x7e]{1,255}$/, "must be 1 to 255 visible ASCII characters")
        .describe("1 to 255 visible ASCII characters that stand for this one call."),
      ...watchFields,
    }),
    annotations: { readOnlyHint: false, destructiveHint: true, openWorldHint: true },
    run: ({ idempotency_key: key, ...body }, api, signal) =>
      api({ method: "POST", path: "/v1/calls", body: { callback_url: null, ...body }, headers: { "idempotency-key": key } }, signal),
  }),
  tool({
    name: "watch_call",
    title: "Watch a call",
    description:
      "Watches a call that was placed elsewhere, by its SID. The answer has the id of the watch. A repeat returns the same watch.",
    input: z.strictObject({ call_sid: z.string().describe("SID of the call."), source, callback_url: callbackUrl }),
    annotations: { readOnlyHint: false, destructiveHint: false, openWorldHint: true },
    run: (body, api, signal) => api({ method: "POST", path: "/v1/watches", body: { callback_url: null, ...body } }, signal),
  }),
  tool({
    name: "wait_for_call",
    title: "Wait for the end of a call",
    description:
      "Waits until the watched call has ended, at most `wait` seconds, and returns the watch. `status` is `active` if the call goes on: call again.",
    input: z.strictObject({
      watch_id: z.string().describe("Id of the watch, wch_…"),
      wait: z
        .int()
        .min(0)
        .max(maxWaitSeconds)
        .optional()
        .describe(`Seconds to wait, 0 to ${maxWaitSeconds}; ${maxWaitSeconds} if left out.`),
    }),
    annotations: { readOnlyHint: true, destructiveHint: false, openWorldHint: false },
    run: ({ watch_id: id, wait = maxWaitSeconds }, api, signal) => waitForEnd(id, wait, api, signal),
  }),
  tool({
    name: "explain",
    title: "Explain a state",
    description: "Says in one sentence what a watch (wch_…), a delivery (dlv_…) or an endpoint (ep_…) waits for, with its whole state.",
    input: z.strictObject({ id: z.string().describe("Id of a watch, a delivery or an endpoint.") }),
    annotations: { readOnlyHint: true, destructiveHint: false, openWorldHint: false },
    async run({ id }, api, signal) {
      const kind = explained[id.split("_")[0] ?? ""];
      if (kind === undefined) return { status: 422, body: { title: "Invalid request", detail: "id must begin with wch_, dlv_ or ep_" } };
      return api({ method: "GET", path: `/v1/${kind}/${encodeURIComponent(id)}` }, signal);
    },
  }),
  tool({
    name: "replay",
    title: "Replay a delivery",
    description: "Sends a webhook again: one attempt now, ahead of schedule. `explain` with the same id shows how it went.",
    input: z.strictObject({ delivery_id: z.string().describe("Id of the delivery, dlv_…") }),
    annotations: { readOnlyHint: false, destructiveHint: false, openWorldHint: true },
    run: ({ delivery_id: id }, api, signal) =>
      api({ method: "POST", path: `/v1/deliveries/${encodeURIComponent(id)}/retry`, body: {} }, signal),
  }),
];

/** The tools by name, in the order of the list. */
export const tools: ReadonlyMap<string, Tool> = new Map(definedTools.map((defined) => [defined.shown.name, defined]));

function tool<Input extends z.ZodType>({
  input,
  run,
  ...rest
}: Omit<ShownTool, "inputSchema"> & {
  readonly input: Input;
  readonly run: (input: z.infer<Input>, api: ApiClient, signal: AbortSignal) => Promise<ApiAnswer>;
}): Tool {
  return {
    shown: { ...rest, inputSchema: z.toJSONSchema(input, { io: "input" }) },
    async call(given, api, signal) {
      const parsed = input.safeParse(given);
      if (!parsed.success) return refusal(z.prettifyError(parsed.error));
      const answer = await run(parsed.data, api, signal);
      return answer.status < 300 ? resultOf(answer.body) : refusal(describeProblem(answer));
    },
  };
}

/** A result begins with its explanation where there is one, because some models read only the beginning. */
function resultOf(body: JsonObject): ToolResult {
  const { explain } = body;
  const text = `${typeof explain === "string" ? `${explain}\n` : ""}${JSON.stringify(body)}`;
  return { content: [{ type: "text", text }], structuredContent: body, isError: false };
}

function refusal(text: string): ToolResult {
  return { content: [{ type: "text", text }], isError: true };
}

/** Returns the result of a tool that got no answer from the service. */
export function unreachable(error: unknown): ToolResult {
  return refusal(`the service did not answer: ${error instanceof Error ? error.message : String(error)}`);
}

/** Reads a watch until it is not active any more, or the wait is over. */
async function waitForEnd(id: string, waitSeconds: number, api: ApiClient, signal: AbortSignal): Promise<ApiAnswer> {
  const path = `/v1/watches/${encodeURIComponent(id)}`;
  const endsAtMs = performance.now() + waitSeconds * 1000;
  let answer = await api({ method: "GET", path }, signal);
  while (answer.status === 200 && answer.body["status"] === "active") {
    const leftSeconds = Math.floor((endsAtMs - performance.now()) / 1000);
    if (leftSeconds < 1) break;
    answer = await api({ method: "GET", path: `${path}?wait=${leftSeconds}&sequence=${String(answer.body["sequence"])}` }, signal);
  }
  return answer;
}

import type { Answer } from "./fault.ts";
import type { Phase } from "./scenarios.ts";

/** A status API of any shape: its path, and the answer as a template. */
export type JsonShape = {
  /** Path with its query, in which `{id}` stands for the SID. */
  readonly path: string;
  /**
   * JSON with placeholders in its strings: `{{status}}`, `{{reason}}`, `{{call_sid}}` and `{{data.<name>}}` of the phase. A
   * string that is one placeholder becomes the value itself, null if there is none.
   */
  readonly template: unknown;
  /** Path of the POST that starts a call, and its answer: a template with `{{call_sid}}`. None if left out. */
  readonly trigger?: { readonly path: string; readonly template: unknown };
  /** Required value of `authorization`; any if left out. */
  readonly authorization?: string;
};

const placeholder = /\{\{([a-z_]+(?:\.\w+)?)\}\}/g;
const wholePlaceholder = /^\{\{([a-z_]+(?:\.\w+)?)\}\}$/;

/** Shapes that the simulator plays. */
export class JsonShapes {
  readonly #shapes: { readonly pattern: RegExp; readonly shape: JsonShape }[] = [];

  add(shape: JsonShape): void {
    const [before = "", ...after] = shape.path.split("{id}").map((part) => part.replaceAll(/[^\w/-]/g, (sign) => `\\${sign}`));
    const pattern = new RegExp(`^${[before, ...after].join("([^/?&]+)")}$`);
    this.#shapes.push({ pattern, shape });
  }

  /** Finds the shape whose trigger is sent to this path; `null` if there is none. */
  matchTrigger(method: string, url: string): JsonShape | null {
    return method === "POST" ? (this.#shapes.find(({ shape }) => shape.trigger?.path === url)?.shape ?? null) : null;
  }

  /** Finds the shape of a GET, and the SID in it; `null` if there is none. */
  match(method: string, url: string): { readonly shape: JsonShape; readonly callSid: string } | null {
    if (method !== "GET") return null;
    for (const { pattern, shape } of this.#shapes) {
      const sid = pattern.exec(url)?.[1];
      if (sid !== undefined) return { shape, callSid: decodeURIComponent(sid) };
    }
    return null;
  }
}

/** Returns the answer to a trigger that started a call. */
export function shapedTrigger({ template }: NonNullable<JsonShape["trigger"]>, callSid: string): Answer {
  return answerOf(200, rendered(template, new Map([["call_sid", callSid]])));
}

/** Returns the answer of a shape in a phase of a call. */
export function shapedAnswer({ template }: JsonShape, callSid: string, { status, reason, data }: Phase): Answer {
  const values = new Map<string, unknown>([
    ["call_sid", callSid],
    ["status", status],
    ["reason", reason ?? null],
    ...Object.entries(data ?? {}).map(([name, value]) => [`data.${name}`, value] as const),
  ]);
  return answerOf(200, rendered(template, values));
}

/** Returns an answer without a status. */
export function shapedError(statusCode: number): Answer {
  return answerOf(statusCode, { error: statusCode });
}

function answerOf(statusCode: number, body: unknown): Answer {
  return { statusCode, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function rendered(template: unknown, values: ReadonlyMap<string, unknown>): unknown {
  if (typeof template === "string") {
    const whole = wholePlaceholder.exec(template)?.[1];
    if (whole !== undefined) return values.get(whole) ?? null;
    return template.replaceAll(placeholder, (_, name: string) => String(values.get(name) ?? ""));
  }
  if (Array.isArray(template)) return template.map((member) => rendered(member, values));
  if (typeof template !== "object" || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, rendered(value, values)]));
}

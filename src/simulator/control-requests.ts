import { z } from "zod";
import { isCallSid } from "../domain/calls/call.ts";
import type { Fault } from "./fault.ts";
import type { JsonShape } from "./json-shapes.ts";
import { isScenarioName } from "./scenarios.ts";
import type { CallScript } from "./scripted-calls.ts";

const durationMs = z
  .number()
  .min(0)
  .max(24 * 60 * 60 * 1000);

const faultFields = { delay_ms: durationMs.optional(), times: z.number().int().min(1).optional() };
const fault = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("slow"), ...faultFields }),
  z.strictObject({
    kind: z.literal("status"),
    status_code: z.number().int().min(200).max(599),
    retry_after: z.string().max(64).optional(),
    retry_after_date_ms: z.number().optional(),
    body: z.string().optional(),
    ...faultFields,
  }),
  z.strictObject({ kind: z.literal("redirect"), location: z.string(), ...faultFields }),
  z.strictObject({ kind: z.literal("reset"), ...faultFields }),
  z.strictObject({ kind: z.literal("hang"), ...faultFields }),
  z.strictObject({ kind: z.literal("not_json"), body: z.string().optional(), ...faultFields }),
  z.strictObject({ kind: z.literal("huge"), bytes: z.number().int().min(0).max(16_777_216), ...faultFields }),
  z.strictObject({ kind: z.literal("drip"), every_ms: durationMs, ...faultFields }),
  z.strictObject({ kind: z.literal("truncate"), ...faultFields }),
]);

const phase = z.strictObject({
  at_ms: durationMs,
  status: z.string().nullable(),
  reason: z.string().nullable().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
});
const shape = z.strictObject({
  path: z.string().startsWith("/").includes("{id}"),
  template: z.unknown(),
  trigger: z.strictObject({ path: z.string().startsWith("/"), template: z.unknown() }).optional(),
  authorization: z.string().optional(),
});
/** SIDs that PolyAI's APIs accept. */
export const polyaiCallSid = /^OUT-[A-Za-z0-9_-]{1,128}$/;
const sid = z.string().refine(isCallSid, "no SID");
const scenarioName = z.string().refine(isScenarioName, "no such scenario");

const call = z
  .strictObject({
    call_sid: sid.optional(),
    scenario: scenarioName.optional(),
    timeline: z.array(phase).max(100).optional(),
    faults: z.array(fault).max(100).optional(),
    verbatim: z.boolean().optional(),
  })
  .refine(({ scenario, timeline }) => scenario === undefined || timeline === undefined, "either scenario or timeline");

// Loose objects, because other keys of the real triggers are ignored.
const trigger = z.object({
  to_number: z.string().optional(),
  toNumber: z.string().optional(),
  metadata: z.object({ scenario: scenarioName.optional() }).optional(),
});

export type Parsed<T> = { readonly kind: "parsed"; readonly value: T } | { readonly kind: "invalid"; readonly detail: string };

/** Body of `POST /simulator/calls`. */
export function parseCallRequest(body: unknown): Parsed<{ readonly callSid: string | null; readonly script: CallScript }> {
  return parse(call, body, ({ call_sid, scenario, timeline, faults, verbatim }) => {
    const phases = timeline?.map(({ at_ms, status, reason, data }) => ({
      atMs: at_ms,
      status,
      ...(reason === undefined ? {} : { reason }),
      ...(data === undefined ? {} : { data }),
    }));
    const life = phases?.toSorted((a, b) => a.atMs - b.atMs) ?? scenario ?? "success";
    return { callSid: call_sid ?? null, script: { scenario: life, faults: faults?.map(faultOf) ?? [], verbatim: verbatim ?? false } };
  });
}

/** Body of `POST /simulator/faults`: a fault of the whole upstream. */
export function parseFaultRequest(body: unknown): Parsed<Fault> {
  return parse(fault, body, faultOf);
}

/** Body of `POST /simulator/shapes`. */
export function parseShapeRequest(body: unknown): Parsed<JsonShape> {
  return parse(shape, body, ({ path, template, trigger, authorization }) => ({
    path,
    template,
    ...(trigger === undefined ? {} : { trigger }),
    ...(authorization === undefined ? {} : { authorization }),
  }));
}

/** Body of `PUT /simulator/rate`. */
export function parseRateRequest(body: unknown): Parsed<number | null> {
  return parse(z.strictObject({ per_second: z.number().positive().nullable() }), body, ({ per_second }) => per_second);
}

/** Body of the trigger of either API. `metadata.scenario` names the life of the call. */
export function parseTriggerRequest(body: unknown): Parsed<CallScript> {
  return parse(
    trigger.refine(({ to_number, toNumber }) => /^\+?[\d ()-]{3,32}$/.test(to_number ?? toNumber ?? ""), "no phone number"),
    body,
    ({ metadata }) => ({ scenario: metadata?.scenario ?? "success" }),
  );
}

/** Returns the life that the trigger of any other API names in `metadata.scenario`. */
export function scenarioOf(body: unknown): z.infer<typeof scenarioName> {
  return z.object({ metadata: z.object({ scenario: scenarioName }) }).safeParse(body).data?.metadata.scenario ?? "success";
}

function parse<I, T>(schema: z.ZodType<I>, body: unknown, convert: (value: I) => T): Parsed<T> {
  const result = schema.safeParse(body);
  return result.success ? { kind: "parsed", value: convert(result.data) } : { kind: "invalid", detail: z.prettifyError(result.error) };
}

function faultOf(wire: z.infer<typeof fault>): Fault {
  const fields = Object.entries(wire).filter(([, value]) => value !== undefined);
  return Object.fromEntries(fields.map(([key, value]) => [camelCase(key), value])) as Fault;
}

function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

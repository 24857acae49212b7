import { z } from "@hono/zod-openapi";
import { detailsSchema, timeOrNull, timeSchema } from "./parts.ts";

export const eventDataExample = {
  watch_id: "wch_1kw4kg04000",
  call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  source: "default",
  status: "failure",
  previous_status: "calling",
  reason: "call queueing: max timeout limit exceeded",
  terminal: true,
  sequence: 3,
  observed_at: "2026-11-24T12:00:03.120Z",
  observed_after: "2026-11-24T12:00:01.100Z",
  metadata: { lead_id: "00Q5g000" },
  details: {},
};

/** Fields of `data` of every event about a call or a watch, except its metadata and details. */
const eventFields = {
  watch_id: z.string().openapi({ description: "Id of the watch that was notified." }),
  call_sid: z.string().openapi({ description: "SID of the call." }),
  source: z.string().openapi({ description: "Name of the source that the call is polled from." }),
  status: z
    .string()
    .nullable()
    .openapi({ description: "Status in lower case; in a `watch.*` ending the last known one, null if none was seen." }),
  previous_status: z.string().nullable().openapi({ description: "null in a watch's first event." }),
  reason: z.string().openapi({ description: "Words of the upstream about the status; empty if there are none." }),
  terminal: z.boolean().openapi({ description: "Whether this is the last event of the watch." }),
  sequence: z
    .number()
    .int()
    .openapi({ description: "Number of the event within the watch, from 1, counted before the filter; use it for ordering." }),
  observed_at: timeSchema.openapi({ description: "When the change was observed." }),
  observed_after: timeOrNull.openapi({
    description: "When the previous status was last confirmed; the change happened between the two times.",
  }),
};
const metadataSchema = z.record(z.string(), z.string()).openapi({ description: "Metadata of the watch, as it was registered." });

/** `data` of every event about a call or a watch. All keys are always present. */
export const eventDataSchema = z
  .object({ ...eventFields, metadata: metadataSchema, details: detailsSchema })
  .openapi("EventData", { description: "Facts of an event about a call or a watch.", example: eventDataExample });

const noFact = () => z.null().openapi({ description: "Always null, because a test is about no call." });
const testFields = {
  watch_id: noFact(),
  call_sid: noFact(),
  source: noFact(),
  status: noFact(),
  previous_status: noFact(),
  reason: noFact(),
  terminal: noFact(),
  sequence: noFact(),
  observed_at: noFact(),
  observed_after: noFact(),
};

/** `data` of `endpoint.test`: the keys of an event of a watch, without facts. */
export const testDataSchema = z
  .object({
    ...testFields,
    metadata: z.record(z.string(), z.string()).openapi({ description: "Always empty." }),
    details: detailsSchema,
  })
  .openapi("TestData", {
    description: "`endpoint.test` has the keys of an event about a call, all of them null.",
    example: { ...Object.fromEntries(Object.keys(testFields).map((key) => [key, null])), metadata: {}, details: {} },
  });

/** Fields of `data` of the operational events, except lists. A key that does not apply is `null`. */
const operationalFields = {
  endpoint_id: z.string().nullable().openapi({ description: "Endpoint that was disabled, or that a delivery was for." }),
  delivery_id: z.string().nullable().openapi({ description: "Delivery whose schedule is used up." }),
  source: z.string().nullable().openapi({ description: "Name of the source whose state changed." }),
  state: z.string().nullable().openapi({ description: "State that the subject of the event has now." }),
  reason: z.string().nullable().openapi({ description: "Why it has this state; null if there is no reason." }),
  watch_id: z.string().nullable().openapi({ description: "Watch that the event is about." }),
  call_sid: z.string().nullable().openapi({ description: "SID of the call that the event is about." }),
  placing_id: z.string().nullable().openapi({ description: "Placing whose outcome is not known." }),
  key_id: z.string().nullable().openapi({ description: "API key that the event is about." }),
  idempotency_key: z.string().nullable().openapi({ description: "`Idempotency-Key` of the placing." }),
  observed_at: timeSchema.openapi({ description: "When the state changed." }),
};
const placingMetadata = z.record(z.string(), z.string()).nullable().openapi({ description: "Metadata of the placing." });
const hookIds = z.array(z.string()).nullable().openapi({ description: "Hooks of the endpoint that was disabled." });

export const operationalDataExample = {
  endpoint_id: null,
  delivery_id: null,
  hook_ids: null,
  watch_id: null,
  call_sid: null,
  placing_id: null,
  key_id: null,
  source: "default",
  state: "suspended",
  reason: "unauthorized",
  metadata: null,
  idempotency_key: null,
  observed_at: eventDataExample.observed_at,
};

/** `data` of the operational events. A key that does not apply is `null`. */
export const operationalDataSchema = z
  .object({ ...operationalFields, hook_ids: hookIds, metadata: placingMetadata })
  .openapi("OperationalData", { description: "Facts of an operational event.", example: operationalDataExample });

const flatHead = {
  id: z.string().openapi({ description: "Id of the event, the same as `webhook-id`." }),
  type: z.string().openapi({ description: "Type of the event." }),
  timestamp: timeSchema.openapi({ description: "When the event was recorded." }),
};
const flatValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const flatNote = "One object without nesting; metadata and details follow as `metadata_<key>` and `details_<key>`.";
const flatHooks = z.string().nullable().openapi({ description: "Hooks of the endpoint that was disabled, separated by commas." });

/** Body of the `flat` format, by the kind of the event. */
export const flatEventSchema = z
  .object({ ...flatHead, ...eventFields })
  .catchall(flatValue)
  .openapi("FlatEvent", { description: flatNote });
export const flatOperationalSchema = z
  .object({ ...flatHead, ...operationalFields, hook_ids: flatHooks })
  .catchall(flatValue)
  .openapi("FlatOperationalEvent", { description: "One object without nesting." });
export const flatTestSchema = z.object({ ...flatHead, ...testFields }).openapi("FlatTest", { description: "One object without nesting." });

const formText = (key: string) => z.string().openapi({ description: `\`${key}\` of the format \`flat\` as a text.` });

/** Returns a schema in which every field is a text, as a form has it. What is null is empty. */
const formOf = (name: string, fields: Readonly<Record<string, z.ZodType>>) =>
  z
    .object(Object.fromEntries(Object.keys(fields).map((key) => [key, formText(key)])))
    .catchall(z.string())
    .openapi(name, { description: "The fields of the `flat` format as a form: every value is a text, what is null is empty." });

/** Body of the `form` format, by the kind of the event. */
export const formEventSchema = formOf("FormEvent", flatEventSchema.shape);
export const formOperationalSchema = formOf("FormOperationalEvent", flatOperationalSchema.shape);
export const formTestSchema = formOf("FormTest", flatTestSchema.shape);

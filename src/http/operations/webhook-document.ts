import type { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "@hono/zod-openapi";
import { describeConsequences } from "../../domain/deliveries/response-class.ts";
import { eventTypes, operationalEventTypes } from "../../domain/events/event.ts";
import type { EventType } from "../../domain/events/event.ts";
import { timeSchema } from "../schemas/parts.ts";
import {
  eventDataExample,
  eventDataSchema,
  flatEventSchema,
  flatOperationalSchema,
  flatTestSchema,
  formEventSchema,
  formOperationalSchema,
  formTestSchema,
  operationalDataExample,
  operationalDataSchema,
  testDataSchema,
} from "../schemas/webhook.ts";
import type { Env } from "./dependencies.ts";

/** Everything that the events of one kind have in common. Names are those of components. */
type Kind = {
  readonly data: z.ZodType;
  readonly dataName: string;
  readonly flatName: string;
  readonly formName: string;
  readonly example: Readonly<Record<string, unknown>>;
  readonly note: string;
};

const watchKind: Kind = {
  data: eventDataSchema,
  dataName: "EventData",
  flatName: "FlatEvent",
  formName: "FormEvent",
  example: eventDataExample,
  note: "",
};
const operationalKind: Kind = {
  data: operationalDataSchema,
  dataName: "OperationalData",
  flatName: "FlatOperationalEvent",
  formName: "FormOperationalEvent",
  example: operationalDataExample,
  note: "Sent only to hooks that name its type. ",
};
const testKind: Kind = {
  data: testDataSchema,
  dataName: "TestData",
  flatName: "FlatTest",
  formName: "FormTest",
  example: {
    ...Object.fromEntries(Object.keys(eventDataExample).map((key) => [key, null])),
    metadata: {},
    details: {},
  },
  note: "Sent by `POST /v1/endpoints/{id}/test`. ",
};

const webhookHeaders = z.object({
  "webhook-id": z.string().openapi({ description: "One per event: the same on every attempt and to every endpoint. Deduplicate by it." }),
  "webhook-timestamp": z.string().openapi({ description: "Unix seconds of this attempt." }),
  "webhook-signature": z.string().openapi({
    description:
      "Standard Webhooks: `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`, one per valid secret; `v1a` if the endpoint asks for it.",
  }),
  "ce-type": z.string().optional().openapi({
    description: "Only in the format `cloudevents`, beside `ce-specversion`, `ce-id`, `ce-source`, `ce-time` and `ce-subject`.",
  }),
});

const howToAnswer =
  "Verify the signature over the body as received, answer 2xx within 15 s, and do the work afterwards. A webhook may arrive more than once: compare its `webhook-id`.";

/** Schemas of the `standard` format by type. Made once, because the library keeps the metadata of a schema until the process ends. */
const standardSchemas = new Map<EventType, { readonly name: string; readonly schema: z.ZodType }>();
for (const type of eventTypes) {
  const name = `${pascalCase(type)}Webhook`;
  const schema = z
    .object({
      type: z.literal(type).openapi({ type: "string", const: type, description: "Type of the event." } as object),
      timestamp: timeSchema.openapi({ description: "When the event was recorded." }),
      data: kindOf(type).data,
    })
    .openapi(name, { description: `Body of \`${type}\` in the format \`standard\`.` });
  standardSchemas.set(type, { name, schema });
}

/** Registers one webhook for each type of event, with the body of every format. */
export function registerWebhooks({ openAPIRegistry: registry }: OpenAPIHono<Env>): void {
  registry.register("FlatEvent", flatEventSchema);
  registry.register("FlatOperationalEvent", flatOperationalSchema);
  registry.register("FlatTest", flatTestSchema);
  registry.register("FormEvent", formEventSchema);
  registry.register("FormOperationalEvent", formOperationalSchema);
  registry.register("FormTest", formTestSchema);
  for (const [type, { name, schema }] of standardSchemas) {
    registry.register(name, schema);
    const kind = kindOf(type);
    registry.registerWebhook({
      method: "post",
      path: type,
      operationId: `receive${pascalCase(type)}`,
      tags: ["Events"],
      security: [],
      summary: `Event ${type}`,
      description: `${kind.note}The body has the format of the endpoint: \`standard\`, \`flat\` and \`cloudevents\` are JSON, \`form\` is a form. Endpoints with the format \`slack\`, \`teams\` or \`template\` are sent what their template says. ${howToAnswer}`,
      request: {
        headers: webhookHeaders,
        body: {
          required: true,
          content: {
            "application/json": {
              schema: { anyOf: [refer(name), typed(kind.flatName, type), { ...refer(kind.dataName) }] },
              examples: {
                standard: { summary: "`standard`", value: { type, timestamp: eventDataExample.observed_at, data: kind.example } },
                flat: { summary: "`flat`", value: flatExample(type, kind) },
                cloudevents: { summary: "`cloudevents`: the facts; the type is in the header `ce-type`", value: kind.example },
              },
            },
            "application/x-www-form-urlencoded": {
              schema: typed(kind.formName, type),
              example: Object.fromEntries(Object.entries(flatExample(type, kind)).map(([key, value]) => [key, String(value ?? "")])),
            },
          },
        },
      },
      responses: {
        "2XX": { description: "Delivered." },
        "4XX": { description: describeConsequences(400, 499) },
        "5XX": { description: describeConsequences(500, 599) },
      },
    });
  }
}

function kindOf(type: EventType): Kind {
  if (type === "endpoint.test") return testKind;
  return (operationalEventTypes as readonly string[]).includes(type) ? operationalKind : watchKind;
}

function refer(name: string) {
  return { $ref: `#/components/schemas/${name}` };
}

/** Narrows the schema of a kind to one type. */
function typed(name: string, type: EventType) {
  return {
    allOf: [
      refer(name),
      { type: "object" as const, properties: { type: { type: "string" as const, const: type, description: "Type of the event." } } },
    ],
  };
}

function flatExample(type: EventType, { example }: Kind): Readonly<Record<string, unknown>> {
  const { metadata = {}, details: _, ...facts } = example;
  const prefixed = Object.entries((metadata ?? {}) as object).map(([key, value]) => [`metadata_${key}`, value as unknown]);
  const head = { id: "evt_5uVb0nCqHkq1Xw3Zt8Yd2Jr7Ls4Mf6Pg", type, timestamp: eventDataExample.observed_at };
  return { ...head, ...facts, ...(Object.fromEntries(prefixed) as object) };
}

function pascalCase(type: string): string {
  return type.replaceAll(/(?:^|[._])([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

import type { components } from "./schema.js";

type Schemas = components["schemas"];

/** Body of a webhook in the format `standard`. Its `type` says what `data` has. */
export type WebhookEvent = { [Name in keyof Schemas]: Name extends `${string}Webhook` ? Schemas[Name] : never }[keyof Schemas];

import { z } from "@hono/zod-openapi";
import { eventTypes as allEventTypes } from "../../domain/events/event.ts";

/** Key of metadata. */
export const metadataKey = /^[A-Za-z0-9_]{1,40}$/;

export const timeSchema = z.string().openapi({ format: "date-time", example: "2026-11-24T12:00:03.120Z" });
export const timeOrNull = timeSchema.nullable();

export const detailsSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).nullable()).openapi({
  description:
    "Details that the source reads from the upstream's answer, as its definition names them; null where the answer lacks one or it does not fit into 1 KiB together; empty for sources of PolyAI. A number with more digits than a double holds is a string of its digits.",
  example: {},
});

/** Every type of event. */
export const eventTypes = z.enum(allEventTypes);

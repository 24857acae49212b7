import { z } from "@hono/zod-openapi";
import { operationalEventTypes, watchEventTypes } from "../../domain/events/event.ts";

export const timeSchema = z.string().openapi({ format: "date-time", example: "2026-11-24T12:00:03.120Z" });
export const timeOrNull = timeSchema.nullable();

/** Every type of event. */
export const eventTypes = z.enum([...watchEventTypes, ...operationalEventTypes, "endpoint.test"]);

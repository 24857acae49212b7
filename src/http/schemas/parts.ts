import { z } from "@hono/zod-openapi";
import { operationalEventTypes, watchEventTypes } from "../../domain/events/event.ts";

export const timeSchema = z.string().openapi({ format: "date-time", example: "2026-11-24T12:00:03.120Z" });
export const timeOrNull = timeSchema.nullable();

export const detailsSchema = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).nullable())
  .openapi({ description: "Details that the source reads from the upstream's answer; empty if it reads none.", example: {} });

/** Every type of event. */
export const eventTypes = z.enum([...watchEventTypes, ...operationalEventTypes, "endpoint.test"]);

import { z } from "@hono/zod-openapi";
import { placingStates } from "../../domain/calls/placing.ts";
import type { Placing } from "../../domain/calls/placing.ts";
import { isoTime } from "../../domain/events/payload.ts";
import { callSidField } from "./fields.ts";
import { timeSchema } from "./parts.ts";

export const placingExample = {
  id: "plc_1kw4kg04000",
  idempotency_key: "lead-00Q5g000",
  source: "default",
  state: "unknown",
  call_sid: null,
  watch_id: null,
  metadata: { lead_id: "00Q5g000" },
  created_at: "2026-11-24T12:00:00.000Z",
} as const;

export const placingSchema = z
  .object({
    id: z.string().openapi({ description: "Id of the placing." }),
    idempotency_key: z.string().openapi({ description: "`Idempotency-Key` of the request." }),
    source: z.string().openapi({ description: "Name of the source." }),
    state: z.enum(placingStates).openapi({
      description:
        "`sending`: the trigger is out; `placed`: it has a SID and a watch; `unknown`: the call may ring, and a person resolves it; `resolved`: a person did.",
    }),
    call_sid: z
      .string()
      .nullable()
      .openapi({ description: "SID of the call; null while it is not known, and of a call that did not ring." }),
    watch_id: z.string().nullable().openapi({ description: "Watch of the call; null without a SID. It may be deleted by now." }),
    metadata: z.record(z.string(), z.string()).openapi({ description: "Metadata of the request." }),
    created_at: timeSchema.openapi({ description: "When the call was asked for." }),
  })
  .openapi("Placing", { example: placingExample });

/** Answer to a repeat once the watch is gone. */
export const watchGoneSchema = z
  .object({ id: z.string().openapi({ description: "Id of the watch, which is deleted." }) })
  .openapi("PlacedWatchGone", { example: { id: "wch_1kw4kg04000" } });

export const resolveSchema = z
  .strictObject(
    {
      call_sid: callSidField.nullable().openapi({
        type: ["string", "null"],
        description: "SID that the call has at the upstream: it is watched. Null: nothing rang, and the key is free.",
      }),
    },
    "must be an object",
  )
  .openapi("PlacingResolution", { example: { call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000" } });

export function placingJson(placing: Placing): z.infer<typeof placingSchema> {
  return {
    id: placing.id,
    idempotency_key: placing.idempotencyKey,
    source: placing.sourceName,
    state: placing.state,
    call_sid: placing.callSid,
    watch_id: placing.watchId,
    metadata: { ...placing.metadata },
    created_at: isoTime(placing.createdAtMs),
  };
}

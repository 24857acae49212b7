import { z } from "@hono/zod-openapi";

const timeOrNull = z.string().nullable();

/** The body of the `standard` format. */
export const webhookSchema = z
  .object({
    type: z.string(),
    timestamp: z.string(),
    data: z.object({
      watch_id: z.string().nullable(),
      call_sid: z.string().nullable(),
      source: z.string().nullable(),
      status: z.string().nullable(),
      previous_status: z.string().nullable(),
      reason: z.string().nullable(),
      terminal: z.boolean().nullable(),
      sequence: z.number().int().nullable(),
      observed_at: timeOrNull,
      observed_after: timeOrNull,
      metadata: z.record(z.string(), z.string()),
    }),
  })
  .openapi("Webhook", {
    example: {
      type: "call.failure",
      timestamp: "2026-11-24T12:00:03.120Z",
      data: {
        watch_id: "wch_01KAZB2Y8RZ5QX8V4N6T0M3C7D",
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
      },
    },
  });

import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { actorKinds, auditActions, auditTargetKinds } from "../../domain/audit.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation, pageRequestOf } from "../operations/operation.ts";
import { pageExample, pageSchema } from "../schemas/answers.ts";
import { pageQuery, timeField } from "../schemas/fields.ts";
import { auditRowJson } from "../schemas/audit.ts";
import { timeSchema } from "../schemas/parts.ts";

const rowExample = {
  id: "aud_1kw4kg04000",
  at: "2026-11-24T12:00:00.000Z",
  action: "endpoint.changed",
  target: { kind: "endpoint", id: "ep_1kw4kg04000" },
  actor: { kind: "key", id: "key_1kw4kg04000", name: "crm" },
  address: "203.0.113.7",
  forwarded_for: null,
  detail: { changed: ["state"], state: "paused" },
};

const rowSchema = z
  .object({
    id: z.string().openapi({ description: "Id of the row." }),
    at: timeSchema.openapi({ description: "When the change was made." }),
    action: z.enum(auditActions).openapi({ description: "What was done." }),
    target: z
      .object({
        kind: z.enum(auditTargetKinds).openapi({ description: "Kind of what was changed." }),
        id: z.string().openapi({ description: "Its id; the SID of a call." }),
      })
      .openapi({ description: "What was changed. The id of a call is its SID." }),
    actor: z
      .object({
        kind: z.enum(actorKinds).openapi({ description: "Way by which the change was requested." }),
        id: z.string().nullable().openapi({ description: "Id of the key or portal link; null for the command line." }),
        name: z.string().nullable().openapi({ description: "Name of the key; null if there is none." }),
      })
      .openapi({ description: "Who asked for it. A session of the dashboard has the id of its key, a portal that of its link." }),
    address: z.string().nullable().openapi({ description: "Address of the peer; null for the command line." }),
    forwarded_for: z
      .string()
      .nullable()
      .openapi({ description: "`X-Forwarded-For` of the request: what it says of its client, unproven." }),
    detail: z.record(z.string(), z.unknown()).openapi({
      description: "What changed. Never a secret, a key, the value of a header or a whole telephone number.",
    }),
  })
  .openapi("AuditRow", { example: rowExample });

const listAudit = defineOperation({
  method: "get",
  path: "/v1/audit",
  operationId: "listAudit",
  scope: "admin",
  tag: "Keys",
  summary: "List what was changed",
  description:
    "What keys, portals, the dashboard and the operator changed, newest first, for the retention time and at most the newest 100,000. Each change has one row; repeats, replays and what failed have none. Watches made or ended are not in it.",
  query: z.strictObject({
    ...pageQuery,
    since: timeField.optional().openapi({ description: "Only changes from this time on." }),
    until: timeField.optional().openapi({ description: "Only changes up to this time." }),
    action: z
      .enum(auditActions, `must be one of ${auditActions.join(", ")}`)
      .optional()
      .openapi({ description: "Only changes of this kind." }),
  }),
  answers: { 200: { description: "A page of changes.", schema: pageSchema(rowSchema), example: pageExample(rowExample) } },
});

/** Route of what was changed, and by whom. */
export function addAuditRoutes(app: OpenAPIHono<Env>, { store }: HttpDependencies): void {
  addOperation(app, listAudit, async (c, { query }) => {
    const filter = { action: query.action ?? null, sinceMs: query.since ?? null, untilMs: query.until ?? null };
    const page = await store.listAudit({ ...pageRequestOf(c, query), ...filter });
    return c.json({ data: page.data.map(auditRowJson), next_cursor: page.nextCursor });
  });
}

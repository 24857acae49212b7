import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { parseDetails } from "../../domain/calls/call-details.ts";
import { isoTime } from "../../domain/events/payload.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { notFound } from "../operations/problem.ts";
import { callSidParam, sourceNameField } from "../schemas/fields.ts";
import { callExample, callSchema } from "../schemas/answers.ts";

const getCall = defineOperation({
  method: "get",
  path: "/v1/calls/{call_sid}",
  operationId: "getCall",
  scope: "read",
  tag: "Calls",
  summary: "Read a call's last known status",
  description: "The status stays readable for the retention time, long after the upstream has dropped it.",
  params: callSidParam,
  query: z.strictObject({
    source: sourceNameField
      .optional()
      .openapi({ description: "Name of the source. If left out, the one that a registration without `source` uses." }),
  }),
  answers: { 200: { description: "The call.", schema: callSchema, example: callExample } },
  problems: ["not-found"],
});

/** Routes of calls. The last known status remains readable after the two hours for which the upstream keeps it. */
export function addCallRoutes(app: OpenAPIHono<Env>, { store, live }: HttpDependencies): void {
  addOperation(app, getCall, async (c, { params, query }) => {
    const account = c.get("account");
    const sourceName = query.source ?? live.impliedSourceName(account);
    const call = await store.getCall({ accountId: account.id, sourceName, callSid: params.call_sid });
    if (call === null) throw notFound("call");
    const { status, reason, details, terminal, observedAtMs } = call.status;
    return c.json({
      call_sid: call.callSid,
      source: call.sourceName,
      status,
      reason,
      terminal,
      observed_at: isoTime(observedAtMs),
      details: parseDetails(details),
    });
  });
}

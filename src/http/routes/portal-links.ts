import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { maxPortalLinks, portalRights } from "../../domain/portal-link.ts";
import type { PortalOutcome } from "../../ports/use-cases/portals.ts";
import { actorOf } from "../operations/actor.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { createdLinkOf, portalRequestOf } from "../operations/portal-link-answer.ts";
import { notFound } from "../operations/problem.ts";
import { pageExample, pageSchema } from "../schemas/answers.ts";
import { idParam, pageQuery } from "../schemas/fields.ts";
import { timeOrNull, timeSchema } from "../schemas/parts.ts";
import { portalLinkJson, portalLinkRequestSchema } from "../schemas/portal-links.ts";

const tag = "Keys";

const linkFields = {
  id: z.string().openapi({ description: "Id of the link." }),
  can: z.enum(portalRights).openapi({ description: "`look` changes nothing; `operate` has the scopes `watch` and `endpoints`." }),
  expires_at: timeSchema.openapi({ description: "End of the link and of its session." }),
};
const createdExample = {
  id: "ptl_1kw4kg04000",
  url: "https://ringback.example.com/portal/ptl_1kw4kg04000/open?token=0sW1",
  can: "look",
  expires_at: "2026-11-24T13:00:00.000Z",
};
const listedExample = {
  id: "ptl_1kw4kg04000",
  can: "look",
  expires_at: "2026-11-24T13:00:00.000Z",
  frame_ancestors: [],
  created_at: "2026-11-24T12:00:00.000Z",
  used_at: null,
  revoked_at: null,
};

const createdSchema = z
  .object({ ...linkFields, url: z.string().openapi({ description: "Address of the link, shown once. It opens one session." }) })
  .openapi("CreatedPortalLink", { example: createdExample });

const listedSchema = z
  .object({
    ...linkFields,
    frame_ancestors: z.array(z.string()).openapi({ description: "Origins that may frame the portal." }),
    created_at: timeSchema.openapi({ description: "When the link was created." }),
    used_at: timeOrNull.openapi({ description: "When the link was used; null if it was not." }),
    revoked_at: timeOrNull.openapi({
      description: "When it was ended: by a request, with the key that made it, or with its account; null if it was not.",
    }),
  })
  .openapi("PortalLink", { example: listedExample });

const createLink = definePostOperation({
  path: "/v1/portal-links",
  operationId: "createPortalLink",
  scope: "admin",
  givesRights: true,
  tag,
  summary: "Create a portal link",
  description: `The dashboard of the account for a person without a key. Only the button on its page uses the link up. \`operate\` needs a key with \`watch\` and \`endpoints\`. An account has at most ${maxPortalLinks} links that live.`,
  body: portalLinkRequestSchema,
  answers: { 201: { description: "Created.", schema: createdSchema, example: createdExample } },
  problems: ["quota-exceeded"],
});

const listLinks = defineOperation({
  method: "get",
  path: "/v1/portal-links",
  operationId: "listPortalLinks",
  scope: "admin",
  tag,
  summary: "List portal links",
  description: "Newest first, without their addresses; kept for the retention time after their end.",
  query: z.strictObject(pageQuery),
  answers: { 200: { description: "A page of links.", schema: pageSchema(listedSchema), example: pageExample(listedExample) } },
});

const deleteLink = defineOperation({
  method: "delete",
  path: "/v1/portal-links/{id}",
  operationId: "deletePortalLink",
  scope: "admin",
  tag,
  summary: "End a portal link",
  description: "Ends the link and its session at once.",
  params: idParam("ptl", "1kw4kg04000", "portal link"),
  answers: { 204: { description: "Ended, also if it had ended before." } },
  problems: ["not-found"],
});

/** Routes of portal links: create, list, end. */
export function addPortalLinkRoutes(app: OpenAPIHono<Env>, dependencies: HttpDependencies): void {
  const { portals, store, idempotency, publicUrl } = dependencies;

  addPostOperation(app, idempotency, createLink, (c, { body }): Post<PortalOutcome> => {
    const request = portalRequestOf(body, publicUrl);
    return {
      act: (keyed) => portals.create(c.get("account"), c.get("key"), request, keyed, actorOf(c)),
      answer: (outcome) => ({ status: 201, body: createdLinkOf(c, outcome, publicUrl) }),
    };
  });

  addOperation(app, listLinks, async (c, { query }) => {
    const page = await store.listPortalLinks(pageRequestOf(c, query));
    return c.json({ data: page.data.map(portalLinkJson), next_cursor: page.nextCursor });
  });

  addOperation(app, deleteLink, async (c, { params }) => {
    if (!(await portals.revoke(c.get("account"), params.id, actorOf(c)))) throw notFound("portal link");
    return c.body(null, 204);
  });
}

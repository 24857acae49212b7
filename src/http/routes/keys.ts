import { actorOf } from "../operations/actor.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { maxKeysPerAccount } from "../../ports/stores/account-store.ts";
import type { KeyOutcome } from "../../ports/use-cases/keys.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { createdKeyOf, keyRequestOf } from "../operations/key-answer.ts";
import { addOperation, defineOperation, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { notFound } from "../operations/problem.ts";
import { pageExample, pageSchema } from "../schemas/answers.ts";
import { idParam, pageQuery } from "../schemas/fields.ts";
import { keyExample, keyFields, keyRequestSchema, listedKeyJson } from "../schemas/keys.ts";
import { timeOrNull, timeSchema } from "../schemas/parts.ts";

const tag = "Keys";

const listedExample = { ...keyExample, created_at: "2026-11-24T12:00:00.000Z", last_used_at: "2026-11-24T12:30:00.000Z", revoked_at: null };
const { last_used_at: _, revoked_at: __, ...madeExample } = listedExample;
const createdExample = { ...madeExample, key: "rb_0123456789abcdefghjkmnpqrstvwxyz01234567" };

const listedSchema = z
  .object({
    ...keyFields,
    created_at: timeSchema.openapi({ description: "When the key was created." }),
    last_used_at: timeOrNull.openapi({ description: "Minute of the last use; null if the key was never used." }),
    revoked_at: timeOrNull.openapi({ description: "When the key was revoked; null if it was not." }),
  })
  .openapi("Key", { example: listedExample });

const createdSchema = z
  .object({
    ...keyFields,
    key: z.string().openapi({ description: "The key, shown once." }),
    created_at: timeSchema.openapi({ description: "When the key was created." }),
  })
  .openapi("CreatedKey", { example: createdExample });

const createKey = definePostOperation({
  path: "/v1/keys",
  operationId: "createKey",
  scope: "admin",
  givesRights: true,
  tag,
  summary: "Create a key",
  description: `Scopes and end are those of the key that asks unless given, and never beyond them (403 \`scope-missing\`). An account has at most ${maxKeysPerAccount} keys that are neither revoked nor expired.`,
  body: keyRequestSchema,
  answers: { 201: { description: "Created.", schema: createdSchema, example: createdExample } },
  problems: ["quota-exceeded"],
});

const listKeys = defineOperation({
  method: "get",
  path: "/v1/keys",
  operationId: "listKeys",
  scope: "admin",
  tag,
  summary: "List keys",
  description: "Newest first, revoked and expired ones included; never the keys themselves.",
  query: z.strictObject(pageQuery),
  answers: { 200: { description: "A page of keys.", schema: pageSchema(listedSchema), example: pageExample(listedExample) } },
});

const deleteKey = defineOperation({
  method: "delete",
  path: "/v1/keys/{id}",
  operationId: "deleteKey",
  scope: "admin",
  tag,
  summary: "Revoke a key",
  description: "Every instance refuses it within 5 s, and its sessions and event streams end.",
  params: idParam("key", "1kw4kg04000", "key"),
  answers: { 204: { description: "Revoked, also if it was before." } },
  problems: ["not-found"],
});

/** Routes of API keys: create, list, revoke. */
export function addKeyRoutes(app: OpenAPIHono<Env>, { keys, store, idempotency, clock }: HttpDependencies): void {
  addPostOperation(app, idempotency, createKey, (c, { body }): Post<KeyOutcome> => {
    const request = keyRequestOf(body, clock.nowMs());
    return {
      act: (keyed) => keys.create(c.get("account"), c.get("key"), request, keyed, actorOf(c)),
      answer: (outcome) => ({ status: 201, body: createdKeyOf(outcome) }),
    };
  });

  addOperation(app, listKeys, async (c, { query }) => {
    const page = await store.pageKeys(pageRequestOf(c, query));
    return c.json({ data: page.data.map(listedKeyJson), next_cursor: page.nextCursor });
  });

  addOperation(app, deleteKey, async (c, { params }) => {
    if (!(await keys.revoke(c.get("account"), params.id, actorOf(c)))) throw notFound("key");
    return c.body(null, 204);
  });
}

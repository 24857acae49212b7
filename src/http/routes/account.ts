import { actorOf } from "../operations/actor.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { accountLimitEntries } from "../../domain/quotas.ts";
import type { AccountLimit, AccountLimits } from "../../domain/quotas.ts";
import { CursorInvalidError } from "../../domain/errors.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import { keyExample, keyFields, usedKeyJson } from "../schemas/keys.ts";
import { pageQuery } from "../schemas/fields.ts";
import { defaultSecretSchema } from "../schemas/default-secret.ts";
import { pageExample, pageSchema, sourceExample, sourceSchemaOf } from "../schemas/answers.ts";
import { sourceJson } from "../schemas/json.ts";

const tag = "Account";

const meExample = {
  id: "acc_1kw4kg04000",
  name: "default",
  public_key: "whpk_5vJ3u0o4rJ7hYb6v8Ez1m2cT9qXw0aLk3nPdRfGsHiI=",
  key: keyExample,
  limits: limitsBy(({ defaultLimit }) => defaultLimit),
  retention_days: 30,
};

const meSchema = z
  .object({
    id: z.string().nullable().openapi({ description: "Id of the account; null for a key of the operator." }),
    name: z.string().nullable().openapi({ description: "Name of the account; null for a key of the operator." }),
    public_key: z
      .string()
      .nullable()
      .openapi({ description: "ed25519, for `v1a` signatures.", example: "whpk_5vJ3u0o4rJ7hYb6v8Ez1m2cT9qXw0aLk3nPdRfGsHiI=" }),
    key: z.object(keyFields).openapi({ description: "The key that asks." }),
    limits: z
      .object(
        limitsBy(({ unit }) =>
          z
            .number()
            .int()
            .openapi({ description: `Maximum number of ${unit}.` }),
        ),
      )
      .openapi({ description: "Limits of the account; 0 disables a limit." }),
    retention_days: z
      .number()
      .openapi({ description: "Days for which a watch is kept with its events after its end. 0: until nothing of it is pending." }),
  })
  .openapi("Me", { description: "0 disables a limit.", example: meExample });

const getMe = defineOperation({
  method: "get",
  path: "/v1/me",
  operationId: "getMe",
  scope: "read",
  isForOperator: true,
  tag,
  summary: "Read the account of the key",
  description: "The account of the key, and the key: a connection test for no-code tools.",
  answers: { 200: { description: "The account.", schema: meSchema, example: meExample } },
});

const setDefaultSecret = defineOperation({
  method: "put",
  path: "/v1/me/signing-secret",
  operationId: "setDefaultSecret",
  scope: "admin",
  tag,
  summary: "Set the default signing secret",
  description: "Endpoints created from now on sign with it unless they have a secret of their own.",
  body: defaultSecretSchema,
  answers: { 204: { description: "Set." } },
});

type Definition = ReturnType<typeof defineListSources>;
/** Definitions by the kinds of sources they name. Only the composition has the list of kinds, so it is not known here. */
const listSourcesByKinds = new Map<string, Definition>();

function listSourcesOf(kinds: readonly string[]): Definition {
  const key = kinds.join(" ");
  const known = listSourcesByKinds.get(key) ?? defineListSources(kinds);
  listSourcesByKinds.set(key, known);
  return known;
}

function defineListSources(kinds: readonly string[]) {
  return defineOperation({
    method: "get",
    path: "/v1/sources",
    operationId: "listSources",
    scope: "read",
    isForOperator: true,
    tag,
    summary: "List sources",
    description:
      "Sources that the account may use, with their health; never a credential. A key of the operator reads all sources, each with the interval of its most stretched account.",
    query: z.strictObject(pageQuery),
    answers: {
      200: { description: "The sources.", schema: pageSchema(sourceSchemaOf(kinds)), example: pageExample(sourceExample) },
    },
  });
}

/** Routes of the account and its sources. */
export function addAccountRoutes(
  app: OpenAPIHono<Env>,
  { endpointSettings, live, limits, retentionDays, sourceKinds }: HttpDependencies,
): void {
  addOperation(app, getMe, (c) => {
    const account = c.get("account") as Account | undefined;
    return c.json({
      id: account?.id ?? null,
      name: account?.name ?? null,
      public_key: account?.publicKey ?? null,
      key: usedKeyJson(c.get("key")),
      limits: limitsBy((_, name) => limits[name]),
      retention_days: retentionDays,
    });
  });

  addOperation(app, setDefaultSecret, async (c, { body }) => {
    await endpointSettings.setDefaultSecret(c.get("account"), body.signing_secret, null, actorOf(c));
    return c.body(null, 204);
  });

  addOperation(app, listSourcesOf(sourceKinds), (c, { query }) => {
    const account = c.get("account") as Account | undefined;
    const sources = account === undefined ? live.allSources() : live.sources(account);
    const start = query.cursor === undefined ? 0 : sources.findIndex(({ name }) => cursorOf(name) === query.cursor) + 1;
    if (query.cursor !== undefined && start === 0) throw new CursorInvalidError();
    const page = sources.slice(start, start + query.limit);
    const last = page.at(-1);
    const next = last === undefined || start + page.length >= sources.length ? null : cursorOf(last.name);
    return c.json({ data: page.map(sourceJson), next_cursor: next });
  });
}

/** Returns one value for each limit of an account, under the limit's key in the API. */
function limitsBy<T>(valueOf: (limit: AccountLimit, name: keyof AccountLimits) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(accountLimitEntries.map(([name, limit]) => [limit.key, valueOf(limit, name)]));
}

function cursorOf(sourceName: string): string {
  return Buffer.from(sourceName).toString("base64url");
}

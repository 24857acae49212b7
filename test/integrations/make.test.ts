import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import { apiKey, fastPolling } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import type { InProcessService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { render } from "./iml.ts";
import type { Scope } from "./iml.ts";
import { folderOf } from "./package-program.ts";

type Code = Readonly<Record<string, unknown>>;
type Component = Readonly<Record<string, unknown>> & { readonly codeFiles: Readonly<Record<string, string | null>> };
type App = {
  readonly generalCodeFiles: Readonly<Record<string, string>>;
  readonly components: Readonly<Record<"connection" | "webhook" | "module" | "rpc" | "function", Readonly<Record<string, Component>>>>;
};
type Parameter = { readonly name: string; readonly type: string; readonly options?: unknown; readonly spec?: readonly Parameter[] };
type Request = Readonly<Record<"url" | "method", string>> & Code;

const folder = folderOf("make");
const read = async <T = Code>(path: string | null | undefined) => JSON.parse(await readFile(join(folder, String(path)), "utf8")) as T;
const requestKeys = ["url", "method", "headers", "qs", "body", "response", "pagination", "log", "output"];
const parameterTypes = ["array", "boolean", "collection", "date", "password", "select", "text", "uinteger", "url"];

let app: App;
let base: Code;
beforeAll(async () => {
  app = await read<App>("makecomapp.json");
  base = await read(app.generalCodeFiles["base"]);
});

/** The rendered request of a code file, with what the base of the app adds. */
async function requestOf(path: string | null | undefined, scope: Scope): Promise<Request> {
  const code = await read(path);
  return render({ headers: {}, ...code, url: `${String(base["baseUrl"])}${String(code["url"])}` }, scope) as Request;
}

/** Plays Make: renders a request, compares it with the OpenAPI document, sends it, and renders the outcome. */
class Make {
  readonly #service: InProcessService;
  readonly #document: Code;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });

  constructor(service: InProcessService, document: Code) {
    this.#service = service;
    this.#document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, "document");
  }

  async send(
    path: string | null | undefined,
    scope: Code,
  ): Promise<{ readonly status: number; readonly body: Code; readonly result: unknown }> {
    const connection = { url: this.#service.url, key: apiKey };
    const { url, method, headers, qs = {}, body } = await requestOf(path, { connection, ...scope });
    const given = Object.entries(qs as Code).map(([name, value]): [string, string] => [name, String(value)]);
    const target = `${url.slice(this.#service.url.length)}${given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`}`;
    const key = (render(base["headers"], { connection }) as Readonly<Record<string, string>>)["x-api-key"] ?? "";
    const answer = await this.#service
      .clientOf(key)
      .send(method, target, method === "GET" ? undefined : body, headers as Readonly<Record<string, string>>);
    if (answer.status < 300) this.#compare(url.slice(this.#service.url.length), method, given, body);
    const { response = {} } = await read<Readonly<{ response?: Code }>>(path);
    return { status: answer.status, body: answer.body, result: outcomeOf(response, { body: answer.body, statusCode: answer.status }) };
  }

  /** Expects the request to be one that the OpenAPI document has. */
  #compare(path: string, method: string, query: readonly (readonly [string, string])[], body: unknown): void {
    const paths = this.#document["paths"] as Readonly<Record<string, Code>>;
    const template = Object.keys(paths)
      .toSorted((a, b) => a.split("{").length - b.split("{").length)
      .find((known) => new RegExp(`^${known.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path));
    const operation = paths[template ?? ""]?.[method.toLowerCase()] as Code | undefined;
    expect(operation, `${method} ${path}`).toBeDefined();
    const names = new Set(((operation?.["parameters"] ?? []) as readonly Parameter[]).map(({ name }) => name));
    for (const [name] of query) expect(names).toContain(name.startsWith("metadata.") ? "metadata" : name);
    if (operation?.["requestBody"] === undefined) return;
    const pointer = `/paths/${(template ?? "").replaceAll("/", "~1")}/${method.toLowerCase()}/requestBody/content/application~1json/schema`;
    const validate = this.#ajv.compile({ $ref: `document#${encodeURI(pointer)}` });
    expect(validate(body), JSON.stringify(validate.errors)).toBe(true);
  }
}

/** Returns what the module puts out: one bundle, or a list of them where it iterates. */
function outcomeOf({ iterate, output, data }: Code, scope: Scope): unknown {
  if (data !== undefined) return render(data, scope);
  if (iterate === undefined) return render(output, scope);
  return (render(iterate, scope) as readonly unknown[]).map((item) => render(output, { ...scope, item }));
}

describe("the Make app", () => {
  test("has every file that it names, of the shape that Make reads", async () => {
    const files = Object.values(app.components).flatMap((components) =>
      Object.values(components).flatMap(({ codeFiles }) => Object.entries(codeFiles)),
    );
    for (const path of Object.values(app.generalCodeFiles)) expect(existsSync(join(folder, path)), path).toBe(true);
    for (const [kind, path] of files) {
      if (path === null) continue;
      const code = await read<unknown>(path);
      if (["communication", "attach", "detach"].includes(kind)) {
        const request = code as Code;
        expect(requestKeys, path).toEqual(expect.arrayContaining(Object.keys(request)));
        // A request that is not a GET has a body, also an empty one.
        if (!["GET", undefined].includes(request["method"] as string)) expect(request, path).toHaveProperty("body");
      }
      if (["params", "mappableParams", "interface"].includes(kind))
        for (const { type } of code as readonly Parameter[]) expect(parameterTypes).toContain(type);
    }
  });

  test("names only connections, webhooks and remote procedures that it has", async () => {
    const { connection, webhook, module, rpc } = app.components;
    for (const component of [...Object.values(webhook), ...Object.values(module), ...Object.values(rpc)]) {
      if (typeof component["connection"] === "string") expect(connection).toHaveProperty(component["connection"]);
      if (component["moduleType"] === "instant_trigger") expect(webhook).toHaveProperty(String(component["webhook"]));
      for (const kind of ["params", "mappableParams"]) {
        const path = component.codeFiles[kind];
        if (typeof path !== "string") continue;
        for (const { options } of await read<readonly Parameter[]>(path))
          if (typeof options === "string") expect(rpc).toHaveProperty(options.replace("rpc://", ""));
      }
    }
    const groups = await read<readonly { readonly modules: readonly string[] }[]>(app.generalCodeFiles["groups"]);
    expect(groups.flatMap(({ modules }) => modules).toSorted()).toEqual(Object.keys(module).toSorted());
  });

  test("connects, attaches, watches, places, searches and detaches, as Make sends it", { timeout: 60_000 }, async () => {
    const [upstream, receiver] = await Promise.all([simulatedUpstream(), startCallbacks()]);
    const service = await startService({
      environment: { ...fastPolling, POLYAI_BASE_URL: upstream.url, POLYAI_AUTH_TOKEN: "token", RINGBACK_MAY_PLACE: "true" },
    });
    const make = new Make(service, (await service.client.get("/openapi.json")).body);
    const { module, webhook, rpc, connection } = app.components;
    const run = (name: string, parameters: Code) => make.send(module[name]?.codeFiles["communication"], { parameters });

    const test = await read<Request & { readonly response: Code }>(connection["ringback"]?.codeFiles["communication"]);
    const sent = render(test, { parameters: { url: service.url, key: apiKey } }) as Request & {
      readonly headers: Readonly<Record<string, string>>;
    };
    expect(sent.url).toBe(`${service.url}/v1/me`);
    const me = await service.clientOf(sent.headers["x-api-key"] ?? "").get("/v1/me");
    expect(render(test.response["metadata"], { body: me.body })).toEqual({ type: "text", value: "default" });
    expect((await make.send(rpc["listSources"]?.codeFiles["communication"], {})).result).toContainEqual({
      label: expect.stringMatching(/^default \(polyai-legacy, /),
      value: "default",
    });

    const hook = webhook["callStatus"]?.codeFiles ?? {};
    const url = receiver.url("/make");
    // Nothing is chosen: every event of every call.
    const every = (await make.send(hook["attach"], { webhook: { url }, parameters: {} })).result as Code;
    expect(await service.client.list("/v1/hooks")).toMatchObject([{ id: every["externalHookId"], events: null, where: null }]);
    expect((await make.send(hook["detach"], { webhook: every })).status).toBe(204);
    const conditions = [{ key: "metadata.team", value: "north" }];
    const parameters = { events: ["terminal"], source: "default", status: "success", conditions };
    const attached = (await make.send(hook["attach"], { webhook: { url }, parameters })).result as Code;
    expect(await service.client.list("/v1/hooks")).toMatchObject([
      { events: ["terminal"], where: { source: "default", status: "success", "metadata.team": "north" } },
    ]);

    const callSid = upstream.trigger({ scenario: [{ atMs: 0, status: "calling" }] });
    const metadata = [{ key: "team", value: "north" }];
    const watched = (await run("watchCall", { call_sid: callSid, metadata })).result as Code;
    expect(watched).toMatchObject({ call_sid: callSid, metadata: { team: "north" }, callback_url: null });
    upstream.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
    await receiver.arrived(1);
    const received = JSON.parse(receiver.received[0]?.body ?? "") as Code;
    const event = render((await read(hook["communication"]))["output"], { body: received }) as Code;
    expect(event).toMatchObject({ type: "call.success", call_sid: callSid, metadata_team: "north" });
    const fields = await read<readonly Parameter[]>(module["callStatusChanged"]?.codeFiles["interface"]);
    expect(Object.keys(event)).toEqual(expect.arrayContaining(fields.map(({ name }) => name)));
    expect((await run("getCall", { call_sid: callSid })).result).toMatchObject({ status: "success", terminal: true });
    const missing = await run("getCall", { call_sid: "OUT-never-watched", source: "default" });
    expect(missing.status).toBe(404);

    const call = [{ key: "to_number", value: "+442079460000" }];
    const placing = { call, idempotency_key: "lead-1", metadata: [{ key: "team", value: "south" }] };
    const placed = (await run("placeCall", placing)).result as Code;
    expect((await run("placeCall", placing)).result).toEqual(placed);
    expect(await service.client.list("/v1/placings")).toHaveLength(1);
    const refused = await run("placeCall", { ...placing, idempotency_key: "lead-2", source: "nothing" });
    const errors = (base["response"] as { readonly error: Readonly<Record<string, { readonly message: string }>> }).error;
    expect(render(errors[refused.status]?.message, { statusCode: refused.status, body: refused.body })).toMatch(/^\[422\] .*\/source/);

    const search = { limit: 10, conditions: [{ key: "metadata.team", value: "south" }] };
    expect((await run("searchWatches", search)).result).toEqual([expect.objectContaining({ id: placed["id"] })]);
    // Page by page, by the cursor of the answer.
    const first = await run("searchWatches", { limit: 1 });
    const { pagination } = await read<{ readonly pagination: { readonly qs: Code } }>(module["searchWatches"]?.codeFiles["communication"]);
    const next = render(pagination.qs, { body: first.body }) as Readonly<Record<string, string>>;
    const second = await service.client.get(`/v1/watches?limit=1&${new URLSearchParams(next).toString()}`);
    expect([first.body, second.body].flatMap(({ data }) => data as readonly Code[]).map(({ id }) => id)).toEqual([
      placed["id"],
      watched["id"],
    ]);

    expect((await make.send(hook["detach"], { webhook: attached })).status).toBe(204);
    expect(await service.client.list("/v1/hooks")).toEqual([]);
  });
});

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { answering, triggerUpstream } from "../harness/upstream/trigger-upstream.ts";
import { blocksOf, readDocument } from "./documents.ts";

// Setup: the file with a trigger of the guide of the sources, with the host of a test upstream. What this proves: the file is
// accepted as it is, its call is placed, and the upstream gets the request that the guide shows.

const guide = "src/http/docs/guides/sources.md";
const [, file = "", request = "", sent = ""] = blocksOf(guide, "json");
const section = /^## Place calls$[\s\S]*?(?=^## )/m.exec(readDocument(guide))?.[0] ?? "";

test("the file with a trigger places the call that the guide shows", async () => {
  const upstream = await triggerUpstream();
  upstream.answer(answering(201, JSON.parse(/`(\{"call".*?\})` makes/.exec(section)?.[1] ?? "")));
  const service = await startService({ environment: { RINGBACK_MAY_PLACE: "true" } });
  const path = join(await temporaryFolder(), "placing.json");
  await writeFile(path, file.replaceAll("https://api.example.com", upstream.url));
  const flags = ["--file", path, "--set", "agent=a1", "--header-env", "authorization=EXAMPLE_AUTH"];
  await service.command(["source", "set", "outbound", ...flags], { EXAMPLE_AUTH: "Bearer token" });
  await eventually(
    () => service.client.list("/v1/sources"),
    (sources) => sources.some(({ name }) => name === "outbound"),
  );

  const body = JSON.parse(request) as { readonly call: object };
  const placed = await service.client.post("/v1/calls", body, { "idempotency-key": "lead-1" });
  expect(placed).toMatchObject({ status: 201, body: { call_sid: "call-7f3a", source: "outbound" } });
  const refused = await service.client.post("/v1/calls", { ...body, call: { ...body.call, agent: "a2" } }, { "idempotency-key": "lead-2" });
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/call/agent" }] } });
  upstream.answer(answering(201, { call: { id: "OUT-1" } }));
  expect((await service.client.post("/v1/calls", body, { "idempotency-key": "lead-3" })).body).toMatchObject({
    type: "urn:ringback:problem:call-unknown",
  });
  const [first] = upstream.triggers;
  expect(upstream.triggers).toHaveLength(2);
  expect(first).toMatchObject({ url: "/v1/calls", headers: { authorization: "Bearer token", "content-type": "application/json" } });
  expect(JSON.parse(first?.body ?? "")).toEqual(JSON.parse(sent));
});

test("every key of a trigger is in the table", () => {
  const documented = [...section.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, key = ""]) => key);
  const example = JSON.parse(file) as { readonly trigger: object };
  expect(documented.toSorted()).toEqual(["allow", "body", "form", "id", "method", "to", "url"]);
  expect(documented).toEqual(expect.arrayContaining(Object.keys(example.trigger)));
});

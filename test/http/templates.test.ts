import { describe, expect, test } from "vitest";
import { renderContent, storedTemplate } from "../../src/domain/webhooks/webhook-content.ts";
import { faultsOf } from "../harness/service/client.ts";
import { createTestApi } from "./test-api.ts";
import { endpointView, eventView, hookView, watchView } from "./views.ts";

const template = { method: "PUT", content_type: "text/plain", body: "{{type}}: {{data.status}} {{data.previous_status}}" } as const;
const summary = {
  id: "ep_1",
  state: "enabled",
  reason: null,
  format: "template",
  request: storedTemplate(template),
  pausedUntilMs: null,
} as const;

test("the template is shown wherever the format is", async () => {
  const { get } = createTestApi({
    store: {
      getEndpoint: async () => endpointView({ format: "template", request: storedTemplate(template) }),
      getWatch: async () => watchView({}, { endpoint: summary }),
      getHook: async () => hookView({ endpoint: summary }),
    },
  });
  for (const path of ["/v1/endpoints/ep_1", "/v1/watches/wch_1", "/v1/hooks/hk_1"])
    expect((await get(path)).body).toMatchObject({ format: "template", request: template });
});

const preview = async (body: object) => createTestApi().send("POST", "/v1/templates/preview", body);

describe("POST /v1/templates/preview", () => {
  test.each(["standard", "flat", "form", "cloudevents", "slack", "teams"] as const)("%s is what would be sent", async (format) => {
    const { method, headers, body } = renderContent(eventView.event, { format, request: null }, null);
    const answer = await preview({ format, event_id: "evt_1" });
    expect([answer.status, answer.body]).toEqual([200, { method, content_type: headers["content-type"], body }]);
  });

  test("a template is filled with the event", async () => {
    const { type, data } = eventView.event;
    const status = "status" in data ? (data.status ?? "") : "";
    const previous = "previousStatus" in data ? (data.previousStatus ?? "") : "";
    const answer = await preview({ request: template, event_id: "evt_1" });
    expect(answer.body).toEqual({ method: "PUT", content_type: "text/plain", body: `${type}: ${status} ${previous}` });
  });

  test("without an event the one of the sample is rendered", async () => {
    const { send, get } = createTestApi();
    const [sample] = (await get("/v1/hooks/sample")).body as unknown as readonly { readonly call_sid: string; readonly type: string }[];
    const request = { method: "POST", body: ["{{type}}", "{{data.call_sid}}"] };
    const { body } = await send("POST", "/v1/templates/preview", { request });
    expect(body).toEqual({ method: "POST", content_type: "application/json", body: JSON.stringify([sample?.type, sample?.call_sid]) });
  });

  test.each<[object, readonly string[]]>([
    [{}, ["/request"]],
    [{ format: "flat", request: template }, ["/format"]],
    [{ format: "template" }, ["/format"]],
    [{ format: "template", request: template }, ["/format"]],
    [{ format: "xml" }, ["/format"]],
    [{ request: { method: "PUT", body: "{{no}}" } }, ["/request/body"]],
    [{ format: "flat", event_id: "evt_2" }, ["/event_id"]],
    [{ format: "flat", event_id: "wch_1" }, ["/event_id"]],
    [{ format: "flat", event: "evt_1" }, ["/event"]],
  ])("%j is 422", async (body, pointers) => {
    const answer = await preview(body);
    expect([answer.status, faultsOf(answer)]).toEqual([422, pointers]);
  });

  test("a body that nests without end is refused where it is", async () => {
    const deep = `${"[".repeat(110)}${"]".repeat(110)}`;
    const answer = await createTestApi().send("POST", "/v1/templates/preview", `{"request":{"method":"PUT","body":${deep}}}`);
    expect([answer.status, faultsOf(answer)]).toEqual([422, ["/request/body"]]);
  });
});

import { describe, expect, test } from "vitest";
import { StartupError } from "../../../src/domain/errors.ts";
import { sourceProtocol as statusRequestOf } from "../../harness/upstream/settings.ts";
import type { GivenSettings } from "../../harness/upstream/settings.ts";

const legacy = { kind: "polyai-legacy", baseUrl: "https://api.us-1.platform.polyai.app", credential: "s3cr3t" } satisfies GivenSettings;
const agents = { ...legacy, kind: "polyai-agents", baseUrl: "https://api.us.poly.ai", agentId: "PROJECT-1", environment: "live" } as const;

describe("the status request", () => {
  test("polyai-legacy", () => {
    const { origin, headers, pathOf } = statusRequestOf(legacy);
    expect(origin).toBe("https://api.us-1.platform.polyai.app");
    expect(headers).toEqual({ accept: "application/json", "user-agent": "Ringback", "x-polyai-auth-token": "s3cr3t" });
    expect(pathOf("OUT-1_a-B")).toBe("/v1/outbound-calling/OUT-1_a-B/status");
  });

  test("polyai-agents", () => {
    const { origin, headers, pathOf } = statusRequestOf(agents);
    expect(origin).toBe("https://api.us.poly.ai");
    expect(headers).toEqual({ accept: "application/json", "user-agent": "Ringback", "x-api-key": "s3cr3t" });
    expect(pathOf("OUT-1")).toBe("/v1/agents/PROJECT-1/telephony/outbound-calls/OUT-1/status?environment=live");
  });

  test("agent and environment are encoded", () => {
    const { pathOf } = statusRequestOf({ ...agents, agentId: "a/b?c#d é", environment: "pre release&x=1" });
    expect(pathOf("OUT-1")).toBe(
      "/v1/agents/a%2Fb%3Fc%23d%20%C3%A9/telephony/outbound-calls/OUT-1/status?environment=pre%20release%26x%3D1",
    );
  });

  test.each([
    ["https://h.example", "https://h.example", "/v1/"],
    ["https://h.example/", "https://h.example", "/v1/"],
    ["https://h.example:8443/proxy/polyai", "https://h.example:8443", "/proxy/polyai/v1/"],
    [" http://h.example/a b// ", "http://h.example", "/a%20b/v1/"],
    ["https://H.example.:8443/", "https://h.example:8443", "/v1/"],
  ])("base URL %s", (baseUrl, origin, start) => {
    const request = statusRequestOf({ ...legacy, baseUrl });
    expect(request.origin).toBe(origin);
    expect(request.pathOf("OUT-1")).toBe(`${start}outbound-calling/OUT-1/status`);
  });

  test.each([
    ["https://api.us.poly.ai", "api.us.poly.ai"],
    ["https://API.us.poly.ai.:8443/", "api.us.poly.ai."],
    ["http://[::1]:80/", "[::1]"],
  ])("the name of %s is looked up as it is written, absolute with a dot at its end", (baseUrl, lookupName) => {
    expect(statusRequestOf({ ...legacy, baseUrl }).lookupName).toBe(lookupName);
  });

  test.each([
    ["no URL", { baseUrl: "api.us.poly.ai" }],
    ["another scheme", { baseUrl: "ftp://api.us.poly.ai" }],
    ["no credential", { credential: "" }],
    ["a credential with a line break", { credential: "s3cr3t\r\nx: y" }],
    ["a credential in another script", { credential: "s3cr3t‑" }],
  ])("%s refuses to start without repeating it", (_name, change) => {
    const start = () => statusRequestOf({ ...legacy, ...change });
    expect(start).toThrow(StartupError);
    expect(start).not.toThrow(/s3cr3t|poly\.ai/);
  });
});

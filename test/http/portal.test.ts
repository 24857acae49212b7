import { expect, test } from "vitest";
import { createTestApi } from "./test-api.ts";

test.each(["/x", "/", "/open?token=x"])("a path of a portal with markup stays a value of its links: %s", async (rest) => {
  const { request } = createTestApi();
  const answer = await request(`http://localhost/portal/%22%3E%3Ch1%3Eplanted&quot;/${rest.slice(1)}`);
  expect(answer.status).toBe(404);
  expect(answer.text).not.toContain("<h1>planted");
  expect(answer.text).toContain('href="/portal/%22%3E%3Ch1%3Eplanted%26quot%3B/"');
});

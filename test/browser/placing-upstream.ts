import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** Stands in front of an upstream and passes everything on, but answers triggers itself: by an error, or by a SID that the upstream knows. */
export async function startPlacingUpstream(upstreamUrl: string, trigger: () => string) {
  const state = { isLost: false, triggers: 0 };
  const server = createServer((request, response) => {
    const answer = (status: number, body: string) => response.writeHead(status, { "content-type": "application/json" }).end(body);
    if (request.method === "GET")
      return void fetch(`${upstreamUrl}${request.url ?? ""}`).then(
        async (polled) => answer(polled.status, await polled.text()),
        () => answer(502, "{}"),
      );
    request.resume().on("end", () => {
      state.triggers += 1;
      if (state.isLost) answer(500, "{}");
      else answer(200, JSON.stringify({ call_sid: trigger() }));
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => void server.close(() => resolve()));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Number of triggers that came. */
    triggers: () => state.triggers,
    /** From now on triggers are answered by an error, or by a SID again. */
    lose: (isLost: boolean) => void (state.isLost = isLost),
  };
}

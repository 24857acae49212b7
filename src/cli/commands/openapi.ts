import { readConfig } from "../../service/config.ts";
import type { HttpDependencies } from "../../http/operations/dependencies.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** `openapi`: prints the document that a service of this version serves at `/openapi.json`. */
export const openApiCommand: Command = {
  summary: "print the OpenAPI document",
  usage: "  no flags of its own; the output is JSON in any case",
  async run(args, terminal) {
    readArguments(args, {});
    const result = readConfig({});
    if (result.kind === "invalid") throw new UsageError(result.faults.join("; "));
    // Loaded lazily, so that other commands start without the API.
    const [{ createApp }, { openApiDocument }, { sourceKinds }] = await Promise.all([
      import("../../http/app.ts"),
      import("../../http/operations/openapi.ts"),
      import("../../service/create-sources.ts"),
    ]);
    const { version, limits } = result.config;
    // The routes are only registered, never called, so they need no dependencies.
    const app = createApp({ version, limits, sourceKinds, publicUrl: null } as Partial<HttpDependencies> as HttpDependencies);
    terminal.out(JSON.stringify(openApiDocument(app, version), null, 2));
    return 0;
  },
};

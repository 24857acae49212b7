import { readConfig } from "../../service/config.ts";
import type { HttpDependencies } from "../../http/operations/dependencies.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** `openapi`: the document a service of this version serves at `/openapi.json`. */
export const openApiCommand: Command = {
  summary: "print the OpenAPI document",
  usage: "  no flags of its own; the output is JSON in any case",
  async run(args, terminal) {
    readArguments(args, {});
    const result = readConfig({});
    if (result.kind === "invalid") throw new UsageError(result.faults.join("; "));
    // Loaded here, so that the other commands start without the whole API.
    const [{ createApp }, { openApiDocument }, { sourceKinds }] = await Promise.all([
      import("../../http/app.ts"),
      import("../../http/operations/openapi.ts"),
      import("../../service/create-sources.ts"),
    ]);
    const { version, limits } = result.config;
    // Routes are added and none is called, so there is nothing behind them.
    const app = createApp({ version, limits, sourceKinds } as HttpDependencies);
    terminal.out(JSON.stringify(openApiDocument(app, version), null, 2));
    return 0;
  },
};

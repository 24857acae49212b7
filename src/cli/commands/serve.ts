import { readArguments, untilAborted } from "../command.ts";
import type { Command } from "../command.ts";

/** `serve`: runs the service. `main.ts` reads the environment, handles signals and ends the process. */
export const serveCommand: Command = {
  summary: "run the service, configured by the environment (as npm start does)",
  usage: "  no flags of its own",
  async run(args, terminal) {
    readArguments(args, {});
    await import("../../main.ts");
    await untilAborted(terminal.signal);
    return 0;
  },
};

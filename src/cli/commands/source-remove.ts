import { commandLine } from "../../domain/audit.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import { sandboxSourceName } from "../../domain/sources/sandbox.ts";
import { openAdministration } from "./administration.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** `source remove`: removes a source that `source set` created. */
export const sourceRemoveCommand: Command = {
  summary: "remove a source; a running service follows within 5 s",
  usage: `  <name>               of a source that source set created
  --force              also while calls of it are watched or being placed; their watches end as lost
The name is free once RETENTION_DAYS are over and none of its calls is kept.`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, { switches: ["force"], positionals: ["<name>"] });
    const [name = ""] = positionals;
    if (name === defaultSourceName)
      throw new UsageError("default is the source of the environment: remove POLYAI_BASE_URL and its companions");
    if (name === sandboxSourceName) throw new UsageError("sandbox is built in and cannot be removed");
    await using administration = await openAdministration();
    const { store, clock } = administration;
    const removed = await store.removeSource({ by: commandLine, name, force: values.force === true, nowMs: clock.nowMs() });
    switch (removed.kind) {
      case "unknown":
        throw new Error(`no source ${JSON.stringify(name)}; source list shows the names`);
      case "busy":
        throw new Error(
          `source ${name} has ${removed.activeWatches} active watches and ${removed.placings} calls being placed; --force ends the watches as lost`,
        );
      case "removed":
        terminal.out(
          json
            ? JSON.stringify({ name, ended_watches: removed.activeWatches })
            : `removed: ${name}${removed.activeWatches === 0 ? "" : `; ${removed.activeWatches} watches end as lost`}`,
        );
        return 0;
    }
  },
};

import { fork } from "node:child_process";
import { once } from "node:events";

/** A process beside the measured one, with a port to talk to; it ends when it is disposed of. */
export type Child = AsyncDisposable & { readonly pid: number; readonly port: number; ask(question: string): Promise<unknown> };

/** Starts a module as a process of its own, so that its work is not measured. */
export async function startChild(module: string, parameters: readonly string[] = []): Promise<Child> {
  const child = fork(new URL(module, import.meta.url), parameters, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return {
    pid: child.pid ?? 0,
    port,
    async ask(question) {
      child.send(question);
      const [answer] = (await once(child, "message")) as [unknown];
      return answer;
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
    },
  };
}

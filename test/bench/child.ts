import { fork } from "node:child_process";
import { once } from "node:events";

/** A process beside the measured one, with a port to talk to; it ends when it is disposed of. */
export type Child = AsyncDisposable & {
  readonly pid: number;
  readonly port: number;
  ask(question: string): Promise<unknown>;
  /** Sends SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>;
};

/** Starts a module as a process of its own, so that its work is not measured. */
export async function startChild(module: string, parameters: readonly string[] = [], execArgv: readonly string[] = []): Promise<Child> {
  const child = fork(new URL(module, import.meta.url), parameters, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    execArgv: [...execArgv],
  });
  const gone = once(child, "exit");
  const first = await Promise.race([once(child, "message"), gone.then(() => null)]);
  if (first === null) throw new Error(`${module} ended before it was ready`);
  const [{ port }] = first as [{ port: number }];
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    port,
    async ask(question) {
      child.send(question);
      const [answer] = (await once(child, "message")) as [unknown];
      return answer;
    },
    kill: () => end("SIGKILL"),
    [Symbol.asyncDispose]: () => end("SIGTERM"),
  };
}

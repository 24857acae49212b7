import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const root = new URL("../..", import.meta.url).pathname;

/** Folder of an integration. */
export const folderOf = (name: string): string => join(root, "src/integrations", name);

/** Whether the packages of an integration are installed. If they are not, standard error names the test that does not run. */
export function isInstalled(name: string, dependency: string): boolean {
  const isThere = existsSync(join(folderOf(name), "node_modules", dependency));
  if (!isThere)
    process.stderr.write(
      `NO packages of the ${name} integration (cd src/integrations/${name} && npm ci --ignore-scripts): ITS TESTS DO NOT RUN\n`,
    );
  return isThere;
}

type Reply = { readonly id: number; readonly results?: unknown; readonly error?: string };
export type Ask = <T>(request: Readonly<Record<string, unknown>>) => Promise<T>;

/**
 * Starts a program of this folder that loads an integration and answers messages. Ends with the test. An answer rejects with
 * what the program threw, and if the program ends.
 */
export async function startProgram(program: string, ...args: readonly string[]): Promise<Ask> {
  const child = fork(join(root, "test/integrations", program), [...args], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const expectReply = (id: number): Promise<unknown> => {
    const reply = Promise.withResolvers<unknown>();
    waiting.set(id, reply);
    return reply.promise;
  };
  child.on("message", ({ id, results, error }: Reply) => {
    if (error === undefined) waiting.get(id)?.resolve(results);
    else waiting.get(id)?.reject(new Error(error));
    waiting.delete(id);
  });
  const ended = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  void ended.then(() => waiting.forEach(({ reject }) => reject(new Error(`${program} ended`))));
  onTestFinished(async () => {
    child.kill();
    await ended;
  });
  await expectReply(0);
  let last = 0;
  return <T>(request: Readonly<Record<string, unknown>>) => {
    last += 1;
    const reply = expectReply(last);
    child.send({ ...request, id: last });
    return reply as Promise<T>;
  };
}

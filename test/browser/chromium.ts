import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { launch } from "puppeteer-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    readonly chromiumEndpoint: string;
  }
}

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Arguments of every Chromium. It refuses to run as root with its sandbox. */
export const commonArguments = ["--disable-dev-shm-usage", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];

/**
 * One Chromium for all files; each visitor has a profile of its own in it. It knows no host but this machine, so that
 * no page can reach another one. Without a Chromium the run fails: nothing was tested.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const browser = await launch({
    executablePath: chromiumOnPath(),
    args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", ...commonArguments],
  });
  project.provide("chromiumEndpoint", browser.wsEndpoint());
  return () => browser.close();
}

/** Returns the path of the Chromium that the tests use. */
export function chromiumOnPath(): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const found = folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(`the browser tests need one of ${names.join(", ")} on the PATH: apt-get install chromium`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startService } from "../harness/service/service.ts";

// Setup: package.json has the version; `npm version <version>` writes it to the other packages, the image and the example for
// Kubernetes. What this proves: nothing shows another version, and the changelog says what is in it.

const root = new URL("../..", import.meta.url).pathname;
const read = (path: string) => readFileSync(join(root, path), "utf8");
type Manifest = { readonly version: string; readonly packages?: Readonly<Record<string, { readonly version?: string }>> };
const { version } = JSON.parse(read("package.json")) as Manifest;

test("every package, the image and the changelog have the version of package.json", () => {
  const folders = [
    ".",
    ...globSync("src/{client,integrations/*}/package.json", { cwd: root }).map((path) => path.replace("/package.json", "")),
  ];
  expect(folders.length).toBeGreaterThan(3);
  for (const folder of folders) {
    const lock = JSON.parse(read(`${folder}/package-lock.json`)) as Manifest;
    const found = [(JSON.parse(read(`${folder}/package.json`)) as Manifest).version, lock.version, lock.packages?.[""]?.version];
    expect([folder, found]).toEqual([folder, [version, version, version]]);
  }
  expect(/image\.version="(.+)"/.exec(read("Dockerfile"))?.[1]).toBe(version);
  expect(/image: \S+\/ringback:(\S+)/.exec(read("src/operations/kubernetes.yaml"))?.[1]).toBe(version);
  expect(/^## (\S+)/m.exec(read(".github/CHANGELOG.md"))?.[1]).toBe(version);
});

test("the service shows it", async () => {
  const { client } = await startService();
  expect((await client.get("/openapi.json")).body["info"]).toMatchObject({ version });
});

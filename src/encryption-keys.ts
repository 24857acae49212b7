import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { generateEncryptionKey, parseEncryptionKeys } from "./adapters/secret-box.ts";
import { StartRefused } from "./domain/errors.ts";

const fileName = "encryption.key";

/**
 * The operator's keys, or the one of the data folder, made at the first start (mode 600, on disk before anything is
 * sealed with it). A database in memory has a key in memory.
 */
export function loadEncryptionKeys(given: string | null, databasePath: string): readonly Buffer[] {
  if (given !== null) return parsed("RINGBACK_ENCRYPTION_KEY", given);
  if (databasePath === ":memory:") return parsed("generated key", generateEncryptionKey());
  const path = join(dirname(resolve(databasePath)), fileName);
  return parsed(path, read(path) ?? make(path));
}

function parsed(origin: string, text: string): readonly Buffer[] {
  const result = parseEncryptionKeys(text);
  if (result.kind === "invalid") throw new StartRefused(`${origin}: ${result.detail}`);
  return result.keys;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StartRefused(`the encryption key ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function make(path: string): string {
  const key = generateEncryptionKey();
  try {
    const file = openSync(path, "wx", 0o600);
    writeSync(file, `${key}\n`);
    fsyncSync(file);
    closeSync(file);
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
    return key;
  } catch (error) {
    throw new StartRefused(`the encryption key ${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

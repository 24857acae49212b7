import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { generateEncryptionKey, parseEncryptionKeys } from "./secret-box.ts";
import { StartupError } from "../../domain/errors.ts";

const fileName = "encryption.key";
const variableName = "RINGBACK_ENCRYPTION_KEY";

export type EncryptionKeys = {
  /** The first seals, all open. */
  readonly keys: readonly Buffer[];
  /** Name of the variable or path of the file that the keys come from, for messages. */
  readonly origin: string;
};

/**
 * Loads the keys of the operator (`given`) or those of the key file in the data folder. Creates the file (mode 600, synced
 * to disk) if it is absent and no key seals values in the database yet (`keyIdsInUse` is empty). A database in memory gets
 * a key in memory. `databasePath` is `null` for Postgres, which requires given keys. Throws `StartupError` if the keys are
 * missing or invalid.
 */
export function loadEncryptionKeys(given: string | null, databasePath: string | null, keyIdsInUse: readonly string[]): EncryptionKeys {
  if (given !== null) return parseFrom(variableName, given);
  if (databasePath === null) throw new StartupError(`${variableName}: is required with Postgres (openssl rand -base64 32 makes one)`);
  if (databasePath === ":memory:") return parseFrom("a key in memory", generateEncryptionKey());
  const path = keyPathOf(databasePath);
  const [keyId] = keyIdsInUse;
  const text = readIfExists(path);
  if (text !== null) return parseFrom(path, text);
  // A new key could not open the sealed values and would occupy the place of the missing key.
  if (keyId !== undefined)
    throw new StartupError(
      `the encryption key ${keyId}, which the database was sealed with, is absent: put it into ${variableName} or ${path}`,
    );
  return parseFrom(path, create(path));
}

/** Returns the variable or the file that the keys of a database come from, for messages. */
export function encryptionKeyOrigin(given: string | null, databasePath: string): string {
  return given === null ? keyPathOf(databasePath) : variableName;
}

function keyPathOf(databasePath: string): string {
  return join(dirname(resolve(databasePath)), fileName);
}

function parseFrom(origin: string, text: string): EncryptionKeys {
  const result = parseEncryptionKeys(text);
  if (result.kind === "invalid") throw new StartupError(`${origin}: ${result.detail}`);
  return { keys: result.keys, origin };
}

function readIfExists(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StartupError(`the encryption key ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Creates the key file atomically. If two processes do so at the same time, both use the file of the first one. */
function create(path: string): string {
  const temporaryPath = `${path}.${randomUUID()}`;
  try {
    write(temporaryPath, `${generateEncryptionKey()}\n`);
    putInPlace(temporaryPath, path);
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new StartupError(`the encryption key ${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

function write(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
}

/** Links the file into place: unlike a rename, a link does not replace an existing file. */
function putInPlace(temporaryPath: string, path: string): void {
  try {
    linkSync(temporaryPath, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(temporaryPath);
  }
}

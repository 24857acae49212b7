import { httpUrlFault } from "../domain/webhooks/http-url.ts";

/** Reads typed environment variables. Collects faults, one line each, which never contain a value. */
export class EnvironmentReader {
  readonly faults: string[] = [];
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  fault(name: string, detail: string): void {
    this.faults.push(`${name}: ${detail}`);
  }

  /** Reads a trimmed text; `null` if it is unset or empty. */
  text(name: string): string | null {
    const value = this.#environment[name]?.trim();
    return value === undefined || value === "" ? null : value;
  }

  /** Reads a comma-separated list, trimmed and without empty entries; `null` if it is unset or empty. */
  list(name: string): readonly string[] | null {
    const entries = this.text(name)
      ?.split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "");
    return entries ?? null;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    return this.#parse(name, fallback, /^-?\d{1,15}$/, `must be a whole number from ${min} to ${max}`, min, max);
  }

  number(name: string, fallback: number, min: number, max: number): number {
    return this.#parse(name, fallback, /^-?\d{1,15}(?:\.\d{1,6})?$/, `must be a number from ${min} to ${max}`, min, max);
  }

  flag(name: string, fallback: boolean): boolean {
    return this.choice(name, ["true", "false", "1", "0"] as const, fallback ? "true" : "false").replace("1", "true") === "true";
  }

  choice<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.text(name);
    if (value === null) return fallback;
    const choice = choices.find((candidate) => candidate === value.toLowerCase());
    if (choice === undefined) this.fault(name, `must be one of ${choices.join(", ")}`);
    return choice ?? fallback;
  }

  /** Reads an absolute http or https URL without credentials, query or fragment; `null` if it is unset or empty. */
  httpUrl(name: string): string | null {
    const value = this.text(name);
    if (value === null) return null;
    const fault = httpUrlFault(value);
    if (fault !== null) this.fault(name, fault);
    return value;
  }

  #parse(name: string, fallback: number, syntax: RegExp, rule: string, min: number, max: number): number {
    const value = this.text(name);
    if (value === null) return fallback;
    const parsed = syntax.test(value) ? Number(value) : Number.NaN;
    if (parsed >= min && parsed <= max) return parsed;
    this.fault(name, rule);
    return fallback;
  }
}

import { pointerText } from "./pointer.ts";

/** Values of the placeholders of a definition. */
export type Fills = {
  /** Texts by placeholder: `--set`. */
  readonly texts: Readonly<Record<string, string>>;
  /** Whole values of headers by header name: `--header-env`. */
  readonly headers: Readonly<Record<string, string>>;
};

export type DefinitionFault = { readonly pointer: string; readonly detail: string };

const placeholder = /\{([a-z0-9_]{1,40})\}/g;
const wholePlaceholder = /^\{[a-z0-9_]{1,40}\}$/;
type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Fills the placeholders in `url`, header values, and `url` and `body` of the trigger. Values are percent-encoded in URLs.
 * Faults name placeholders that are left over and values that fill none; they never contain a value.
 */
export function fillPlaceholders(
  file: JsonObject,
  fills: Fills,
): { readonly filled: JsonObject; readonly faults: readonly DefinitionFault[] } {
  const faults: DefinitionFault[] = [];
  const used = new Set<string>();
  const fill = (value: unknown, pointer: readonly string[], encode: (text: string) => string, kept?: string): unknown => {
    if (typeof value !== "string") return value;
    return value.replaceAll(placeholder, (whole: string, name: string) => {
      if (name === kept) return whole;
      const text = fills.texts[name];
      if (text === undefined)
        faults.push({
          pointer: pointerText(pointer),
          detail: `has the placeholder ${whole}, which has no value: add --set ${name}=<value>`,
        });
      else used.add(name);
      return encode(text ?? "");
    });
  };
  const fillBody = (value: unknown, pointer: readonly string[]): unknown => {
    if (Array.isArray(value)) return value.map((member, index) => fillBody(member, [...pointer, String(index)]));
    if (!isObject(value)) return fill(value, pointer, plain);
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fillBody(member, [...pointer, key])]));
  };
  const filled: Record<string, unknown> = { ...file };
  if ("url" in file) filled["url"] = fill(file["url"], ["url"], encodeURIComponent, "id");
  const { headers, trigger } = file;
  const given = new Map(Object.entries(fills.headers).map(([name, value]) => [name.toLowerCase(), value]));
  if (isObject(headers))
    filled["headers"] = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => {
        const whole = given.get(name.toLowerCase());
        if (whole === undefined) return [name, fill(value, ["headers", name], plain)];
        given.delete(name.toLowerCase());
        if (typeof value !== "string" || !wholePlaceholder.test(value))
          faults.push({
            pointer: pointerText(["headers", name]),
            detail: "must be one placeholder, as in {authorization}, for --header-env",
          });
        return [name, whole];
      }),
    );
  for (const name of given.keys())
    faults.push({
      pointer: pointerText(["headers", name]),
      detail: "is not in the file: --header-env fills the header whose value is a placeholder",
    });
  if (isObject(trigger)) {
    const { url, body } = trigger;
    filled["trigger"] = {
      ...trigger,
      ...("url" in trigger ? { url: fill(url, ["trigger", "url"], encodeURIComponent) } : {}),
      ...("body" in trigger ? { body: fillBody(body, ["trigger", "body"]) } : {}),
    };
  }
  for (const name of Object.keys(fills.texts))
    if (!used.has(name)) faults.push({ pointer: "", detail: `has no placeholder {${name}} for --set` });
  return { filled, faults };
}

function plain(text: string): string {
  return text;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

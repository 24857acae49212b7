/** RFC 9110 §5.6.2: token; §5.6.4: quoted string, here without obs-text, because receivers differ in how they read that. */
const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const quoted = '"(?:[\\t !#-\\[\\]-~]|\\\\[\\t -~])*"';
const mediaType = new RegExp(`^(${token})/(${token})((?:[ \\t]*;[ \\t]*${token}=(?:${token}|${quoted}))*)$`);
const charsetParameter = new RegExp(`;[ \\t]*charset=(${token}|${quoted})`, "gi");

export const contentTypeMaxLength = 100;

/** Whether a body of this media type is JSON or text; `null` if it is neither, or if it names another charset than UTF-8. */
export function bodyKindOf(contentType: string): "json" | "text" | null {
  if (contentType.length > contentTypeMaxLength) return null;
  const [, type = "", subtype = "", parameters = ""] = mediaType.exec(contentType.toLowerCase()) ?? [];
  for (const [, charset = ""] of parameters.matchAll(charsetParameter)) if (charset.replaceAll('"', "") !== "utf-8") return null;
  if (subtype.endsWith("+json") || subtype === "json") return "json";
  return type === "text" ? "text" : null;
}

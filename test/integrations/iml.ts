/** Value of an expression. What a template leaves undefined is not sent. */
type Value = unknown;
export type Scope = Readonly<Record<string, Value>>;

const wholeExpression = /^\{\{((?:(?!\}\}).)*)\}\}$/s;
const spread = "{{...}}";

/**
 * Fills the `{{…}}` of a template, as Make does: a text that is one expression has its value and type, others are texts in which an
 * absent value is empty; the key `{{...}}` adds the keys of an object; an undefined value is left out.
 */
export function render(template: Value, scope: Scope): Value {
  if (typeof template === "string") {
    const [, whole] = wholeExpression.exec(template) ?? [];
    if (whole !== undefined) return evaluate(whole, scope);
    return template.replaceAll(/\{\{(.*?)\}\}/gs, (_, expression: string) => String(evaluate(expression, scope) ?? ""));
  }
  if (Array.isArray(template)) return template.map((item) => render(item, scope));
  if (typeof template !== "object" || template === null) return template;
  const entries = Object.entries(template).flatMap(([key, value]): [string, Value][] => {
    const rendered = render(value, scope);
    if (key === spread) return Object.entries(rendered ?? {});
    return rendered === undefined ? [] : [[key, rendered]];
  });
  return Object.fromEntries(entries);
}

/** Functions that the templates use, of those that Make has. */
const functions: Readonly<Record<string, (...values: Value[]) => Value>> = {
  toCollection: (pairs, key, value) =>
    pairs === undefined
      ? undefined
      : Object.fromEntries((pairs as readonly Scope[]).map((pair) => [String(pair[String(key)]), pair[String(value)]])),
  min: (...numbers) => Math.min(...numbers.map(Number)),
};

/** Evaluates a path (`body.errors[1].detail`, items from 1), a number, a text in single quotes, or a call of a function. */
function evaluate(expression: string, scope: Scope): Value {
  const text = expression.trim();
  const [, name, given] = /^(\w+)\((.*)\)$/s.exec(text) ?? [];
  if (name !== undefined) {
    const called = functions[name];
    if (called === undefined) throw new Error(`${name} is no function that the test has`);
    return called(...(given ?? "").split(",").map((argument) => evaluate(argument, scope)));
  }
  if (/^'.*'$/s.test(text)) return text.slice(1, -1);
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^[A-Za-z]\w*(?:\.\w+|\[\d+\])*$/.test(text)) throw new Error(`${text} is no expression that the test reads`);
  const steps = text.split(/[.[\]]+/).filter((step) => step !== "");
  return steps.reduce<Value>((at, step) => {
    if (Array.isArray(at)) return at[Number(step) - 1];
    return typeof at === "object" && at !== null ? (at as Scope)[step] : undefined;
  }, scope);
}

/** Returns the address of a path of the service. */
export function addressOf(bundle, path) {
  return `${String(bundle.authData.url ?? "")
    .trim()
    .replace(/\/+$/, "")}${path}`;
}

/**
 * Puts the key on every request. Redirects are errors: a request that was redirected would carry the key to another host.
 * What is refused is read by `refuseProblem`, also a 429, of which Zapier would otherwise drop the reason.
 */
export function addKey(request, _z, bundle) {
  return {
    ...request,
    redirect: "error",
    throwForThrottlingEarly: false,
    headers: { ...request.headers, "x-api-key": bundle.authData.key ?? "" },
  };
}

/**
 * Turns a refusal (RFC 9457) into an error that shows its detail and the faults of the fields. A refusal with `Retry-After`
 * becomes a throttling, which Zapier repeats by itself. The status that a request names as `answerStatus` is an answer.
 */
export function refuseProblem(response, z) {
  if (response.status < 400) return response;
  if (response.status === response.request.middlewareData?.answerStatus) {
    response.skipThrowForStatus = true;
    return response;
  }
  const problem = problemOf(response.content);
  const faults = (problem.errors ?? []).map(({ pointer, parameter, detail }) => `${pointer ?? parameter ?? ""} ${detail}`.trim());
  const message = [problem.detail ?? problem.title ?? `Ringback answered ${response.status}.`, ...faults].join("\n");
  if (response.status === 401) throw new z.errors.Error(message, "AuthenticationError", 401);
  const retryAfter = Number.parseInt(response.getHeader("retry-after") ?? "", 10);
  if (Number.isInteger(retryAfter)) throw new z.errors.ThrottledError(message, retryAfter);
  throw new z.errors.Error(message, slugOf(problem.type), response.status);
}

/** Returns the last part of a type such as `urn:ringback:problem:not-found`. */
const slugOf = (type) =>
  String(type ?? "")
    .split(":")
    .at(-1) || "error";

/** Returns the parsed answer; an empty object if it is no JSON, which a proxy in between may have sent. */
function problemOf(content) {
  try {
    const parsed = JSON.parse(content);
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/**
 * Outcome of an exchange that did not begin, because this process or machine lacked a resource: a file descriptor, memory,
 * a port, a place in a local queue. Such an outcome is no evidence about the peer, and counts neither as an attempt nor as
 * a poll. `code` is the code of the error (`EMFILE`, …).
 */
export type NotStarted = { readonly kind: "not_started"; readonly code: string };

/**
 * Nothing was sent, because this process or machine lacked something: a file descriptor, memory, a port, a place in a queue of
 * its own. That says nothing of the peer and counts as no attempt and no poll. `code` is the error's (`EMFILE`, …).
 */
export type NotStarted = { readonly kind: "not_started"; readonly code: string };

import { expect, it } from "vitest";
import { toClientUrl } from "../../../src/adapters/postgres/connection/connection-string.ts";

it.each([
  ["postgres://u:p@db/x", "postgres://u:p@db/x"],
  ["postgres://u:p@db/x?sslmode=require", "postgres://u:p@db/x?sslmode=verify-full"],
  ["postgres://u:p@db/x?sslmode=prefer&connect_timeout=3", "postgres://u:p@db/x?sslmode=verify-full&connect_timeout=3"],
  ["postgres://u:p@db/x?a=b&sslmode=verify-ca&sslrootcert=/ca.pem", "postgres://u:p@db/x?a=b&sslmode=verify-full&sslrootcert=/ca.pem"],
  ["postgres://u:p@db/x?sslmode=disable", "postgres://u:p@db/x?sslmode=disable"],
  ["postgres://u:p@db/x?sslmode=no-verify", "postgres://u:p@db/x?sslmode=no-verify"],
  ["postgres://u:&sslmode=require&@db/x", "postgres://u:&sslmode=require&@db/x"],
  ["postgres://u:p@db/x?uselibpqcompat=true&sslmode=require", "postgres://u:p@db/x?uselibpqcompat=true&sslmode=require"],
])("%s goes to pg as %s", (given, expected) => {
  expect(toClientUrl(given)).toBe(expected);
});

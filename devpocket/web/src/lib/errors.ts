/** Refusals in the user's words. */

import { ApiError } from "./api";
import { clock, duration } from "./format";
import { isText, t } from "./i18n";

/** One sentence that says what is wrong and, where there is one, the way on. `{wait}` and `{time}`: until when it is so. */
export function say(error: unknown): string {
  if (!(error instanceof ApiError)) {
    console.error(error);
    return t("error.unexpected");
  }
  const name = `error.${error.code}`;
  const seconds = error.retryAfterS;
  const values = {
    ...(error.context as Record<string, string>),
    seconds: seconds ?? "",
    wait: duration(seconds ?? 1),
    time: clock(error.at + (seconds ?? 1) * 1000),
  };
  if (isText(name)) return t(name, values);
  return error.detail || t("error.unexpected");
}

/** Refusals of a whole request that are about one field. */
const FIELDS: Record<string, string> = {
  username_taken: "username",
  email_taken: "email",
  invalid_token: "token",
  name_taken: "name",
  size_not_allowed: "size",
};

/** By field, the sentence to show beside it. "non_field_errors" are for the whole form. */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  const field = FIELDS[error.code];
  if (field !== undefined && error.errors.length === 0) return { [field]: say(error) };
  return Object.fromEntries(
    error.errors.map(({ field, code, message }) => [field, fieldText(field, code) ?? message]).reverse(), // the first stays
  );
}

/** What is said of a code of contract 2.3 at a field; null: the server's own words. */
export function fieldText(field: string, code: string): string | null {
  const name = [`field.${field}.${code}`, `field.${code}`].find(isText);
  return name === undefined ? null : t(name as Parameters<typeof t>[0]);
}

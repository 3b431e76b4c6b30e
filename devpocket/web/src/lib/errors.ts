/** Refusals in the user's words. */

import { ApiError } from "./api";
import { isText, t } from "./i18n";

/** One sentence that says what is wrong and, where there is one, the way on. */
export function say(error: unknown): string {
  if (!(error instanceof ApiError)) {
    console.error(error);
    return t("error.unexpected");
  }
  const name = `error.${error.code}`;
  const values = { ...(error.context as Record<string, string>), seconds: error.retryAfterS ?? "" };
  if (isText(name)) return t(name, values);
  return error.detail || t("error.unexpected");
}

/** By field, the sentence to show beside it. "non_field_errors" are for the whole form. */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(
    error.errors.map(({ field, code, message }) => {
      const name = `field.${code}`;
      return [field, isText(name) ? t(name) : message];
    }),
  );
}

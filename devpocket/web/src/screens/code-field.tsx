import { t } from "../lib/i18n";
import { TextField } from "../ui/field";

/** Six digits of a mail, in one field: phones fill it in from the message, and a screen reader reads it as one. */
export function CodeField({
  value,
  onText,
  error,
}: {
  value: string;
  onText(value: string): void;
  error: string | undefined;
}) {
  return (
    <TextField
      label={t("account.code")}
      hint={t("account.codeHint")}
      class="code"
      name="code"
      autocomplete="one-time-code"
      inputMode="numeric"
      required
      value={value}
      onText={(text) => onText(text.replace(/\D/g, "").slice(0, 6))}
      error={error}
    />
  );
}

export const isCode = (text: string): boolean => /^\d{6}$/.test(text);

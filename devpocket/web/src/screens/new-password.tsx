import { t } from "../lib/i18n";
import { brokenRules, PASSWORD_RULES } from "../lib/password";
import { PasswordField } from "../ui/field";
import { Icon } from "../ui/icon";

interface Props {
  label: string;
  value: string;
  onText(value: string): void;
  error: string | undefined;
  /** Names that must not be in it. */
  who: { username?: string; email?: string };
}

/** A password to be: its rules beside it, each ticked off as it is kept. */
export function NewPasswordField({ label, value, onText, error, who }: Props) {
  const broken = brokenRules(value, who);
  return (
    <div class="new-password">
      <PasswordField
        label={label}
        name="new-password"
        autocomplete="new-password"
        required
        value={value}
        onText={onText}
        error={error}
      />
      <ul class="rules" aria-label={t("account.rules")}>
        {PASSWORD_RULES.map((rule) => {
          const isKept = !broken.includes(rule);
          return (
            <li key={rule} class={isKept ? "kept" : ""}>
              <Icon name={isKept ? "check" : "dot"} />
              <span>{t(`account.rule.${rule}`)}</span>
              <span class="unseen">{t(isKept ? "account.rule.kept" : "account.rule.missing")}</span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

/** What is said beside the field when it is sent as it is; undefined: it may be sent. */
export function passwordProblem(password: string, who: Props["who"]): string | undefined {
  if (password === "") return t("field.required");
  return brokenRules(password, who).length > 0 ? t("account.rules.broken") : undefined;
}

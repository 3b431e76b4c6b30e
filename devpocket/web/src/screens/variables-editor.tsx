import { t } from "../lib/i18n";
import { MOST, problemOf, type Variable } from "../lib/variables";
import { Button, IconButton } from "../ui/button";
import { TextField } from "../ui/field";

/** A row for each variable; what is wrong with one is said beside it. */
export function VariablesEditor({
  rows,
  onChange,
  error,
}: {
  rows: Variable[];
  onChange(rows: Variable[]): void;
  error?: string | undefined;
}) {
  const put = (index: number, changed: Partial<Variable>) =>
    onChange(rows.map((row, at) => (at === index ? { ...row, ...changed } : row)));
  return (
    <fieldset class="variables">
      <legend>{t("variables.title")}</legend>
      <p class="hint">{t("variables.hint")}</p>
      {rows.map((row, index) => {
        const problem = problemOf(rows, index);
        const plain = { autocapitalize: "none", autocomplete: "off", spellcheck: false } as const;
        return (
          <div class="variable" key={index}>
            <TextField
              {...plain}
              label={t("variables.key", { number: index + 1 })}
              value={row.key}
              onText={(key) => put(index, { key })}
              error={problem ? t(problem) : undefined}
            />
            <TextField
              {...plain}
              label={t("variables.value", { number: index + 1 })}
              value={row.value}
              onText={(value) => put(index, { value })}
            />
            <IconButton
              icon="trash"
              label={t("variables.remove", { key: row.key || index + 1 })}
              onClick={() => onChange(rows.filter((_, at) => at !== index))}
            />
          </div>
        );
      })}
      {error && (
        <p class="problem" role="alert">
          {error}
        </p>
      )}
      {rows.length < MOST && (
        <Button icon="plus" onClick={() => onChange([...rows, { key: "", value: "" }])}>
          {t("variables.add")}
        </Button>
      )}
    </fieldset>
  );
}

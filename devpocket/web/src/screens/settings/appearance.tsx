import { LANGUAGES, type Language, language, t } from "../../lib/i18n";
import { canStore, type Theme, theme } from "../../lib/prefs";
import { SelectField } from "../../ui/field";
import { Notice } from "../../ui/notice";

const THEMES: Theme[] = ["system", "light", "dark"];

export function Appearance() {
  return (
    <section class="card">
      {!canStore.value && <Notice kind="warn">{t("common.notStored")}</Notice>}
      <SelectField
        label={t("settings.theme")}
        value={theme.value}
        options={THEMES.map((one) => [one, t(`settings.theme.${one}`)] as const)}
        onPick={(picked) => {
          theme.value = picked;
        }}
      />
      <SelectField
        label={t("settings.language")}
        value={language.value}
        options={Object.entries(LANGUAGES) as [Language, string][]}
        onPick={(picked) => {
          language.value = picked;
        }}
      />
    </section>
  );
}

import "../styles/key-bar-editor.css";
import { t } from "../lib/i18n";
import { Button, IconButton } from "../ui/button";
import { keyFace, keyLabel } from "./key-bar";
import { BAR_KEYS, type BarKey, DEFAULT_BAR, keyBar } from "./key-bar-keys";

/** Which keys the key bar has, and in which order. Kept in this browser at once. */
export function KeyBarEditor() {
  const chosen = keyBar.value;
  const others = (Object.keys(BAR_KEYS) as BarKey[]).filter((key) => !chosen.includes(key));

  function move(at: number, by: number): void {
    const moved = [...chosen];
    const [key] = moved.splice(at, 1);
    moved.splice(at + by, 0, key as BarKey);
    keyBar.value = moved;
  }

  return (
    <div class="key-bar-editor">
      <h2>{t("terminal.bar.chosen")}</h2>
      <ol>
        {chosen.map((key, at) => (
          <li key={key}>
            <span class="key-name">{keyLabel(key)}</span>
            <IconButton
              icon="up"
              label={t("terminal.bar.earlier", { key: keyLabel(key) })}
              disabled={at === 0}
              onClick={() => move(at, -1)}
            />
            <IconButton
              icon="down"
              label={t("terminal.bar.later", { key: keyLabel(key) })}
              disabled={at === chosen.length - 1}
              onClick={() => move(at, 1)}
            />
            <IconButton
              icon="close"
              label={t("terminal.bar.remove", { key: keyLabel(key) })}
              onClick={() => {
                keyBar.value = chosen.filter((one) => one !== key);
              }}
            />
          </li>
        ))}
      </ol>
      <h2>{t("terminal.bar.others")}</h2>
      <div class="key-choice">
        {others.map((key) => (
          <button
            key={key}
            type="button"
            class="key"
            aria-label={t("terminal.bar.add", { key: keyLabel(key) })}
            onClick={() => {
              keyBar.value = [...chosen, key];
            }}
          >
            {keyFace(key)}
          </button>
        ))}
      </div>
      <Button
        icon="refresh"
        onClick={() => {
          keyBar.value = DEFAULT_BAR;
        }}
      >
        {t("terminal.bar.reset")}
      </Button>
    </div>
  );
}

import { useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { fontPx, screenReader } from "../lib/prefs";
import { Button, IconButton } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { CheckField } from "../ui/field";

import { isKeyBarShown } from "./key-bar-keys";
import { hasKeyBar, isComposing, setFont } from "./looks";
import type { Pane } from "./pane";

const HELP = ["touch", "scroll", "select", "copy", "leave", "latch", "line"] as const;

/** What one does with a terminal now and then, and how to use it. */
export function Menu({ pane }: { pane: Pane }) {
  const [isOpen, setOpen] = useState(false);
  const close = () => setOpen(false);
  const canType = pane.stream.mode.value === "write";
  return (
    <>
      <IconButton icon="more" label={t("terminal.menu")} onClick={() => setOpen(true)} />
      {isOpen && (
        <Dialog title={t("terminal.menu")} onClose={close}>
          <div class="buttons">
            {canType && (
              <Button
                icon="insert"
                onClick={() => {
                  close();
                  void pane.paste().then(() => pane.view.focus());
                }}
              >
                {t("terminal.key.paste")}
              </Button>
            )}
            <Button
              icon="copy"
              onClick={() => {
                close();
                pane.selection.all();
              }}
            >
              {t("terminal.selectAll")}
            </Button>
          </div>
          <div class="letter-size">
            <span>{t("terminal.font", { px: fontPx.value })}</span>
            <IconButton
              icon="minus"
              kind="plain"
              label={t("terminal.smaller")}
              onClick={() => setFont(fontPx.value - 1)}
            />
            <IconButton
              icon="plus"
              kind="plain"
              label={t("terminal.larger")}
              onClick={() => setFont(fontPx.value + 1)}
            />
          </div>
          {canType && (
            <>
              <CheckField
                label={t("terminal.line.use")}
                hint={t("terminal.line.hint")}
                checked={isComposing.value}
                onCheck={(on) => {
                  isComposing.value = on;
                }}
              />
              <CheckField
                label={t("terminal.keyBar")}
                checked={hasKeyBar()}
                onCheck={(on) => {
                  isKeyBarShown.value = on;
                }}
              />
            </>
          )}
          <CheckField
            label={t("terminal.screenReader")}
            hint={t("terminal.screenReaderHint")}
            checked={screenReader.value}
            onCheck={(on) => {
              screenReader.value = on;
            }}
          />
          <details>
            <summary>{t("terminal.help")}</summary>
            <dl class="help">
              {HELP.map((topic) => (
                <div key={topic}>
                  <dt>{t(`terminal.help.${topic}`)}</dt>
                  <dd>{t(`terminal.help.${topic}.how`)}</dd>
                </div>
              ))}
            </dl>
          </details>
        </Dialog>
      )}
    </>
  );
}

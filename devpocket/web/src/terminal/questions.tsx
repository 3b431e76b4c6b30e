import { useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { TextArea } from "../ui/field";
import type { Pane } from "./pane";
import { lineCount } from "./paste";

const SHOWN = 600; // characters of what would be pasted

/** What a terminal has to ask before it does it. */
export function Questions({ pane }: { pane: Pane }) {
  const asked = pane.question.value;
  if (asked === null) return null;
  const close = () => {
    pane.question.value = null;
  };
  const focusNext = () => pane.view.focus();
  if (asked.kind === "pasteByHand") return <PasteByHand pane={pane} onClose={close} />;
  if (asked.kind === "link")
    return (
      <Dialog title={t("terminal.link.title")} onClose={close} focusNext={focusNext}>
        <p class="address">{asked.address}</p>
        <div class="buttons">
          <Button
            kind="main"
            icon="link"
            onClick={() => {
              open(asked.address, "_blank", "noopener,noreferrer");
              close();
            }}
          >
            {t("terminal.link.open")}
          </Button>
          <Button onClick={close}>{t("common.cancel")}</Button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title={t("terminal.paste.title", { count: lineCount(asked.text) })} onClose={close} focusNext={focusNext}>
      <p>{t("terminal.paste.warning")}</p>
      <pre class="pasted">{asked.text.length > SHOWN ? `${asked.text.slice(0, SHOWN)} …` : asked.text}</pre>
      <div class="buttons">
        <Button
          kind="main"
          onClick={() => {
            pane.putIn(asked.text);
            close();
          }}
        >
          {t("terminal.paste.yes")}
        </Button>
        <Button onClick={close}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}

/** Where the browser doesn't let a page read the clipboard, its own paste into a field still works. */
function PasteByHand({ pane, onClose }: { pane: Pane; onClose(): void }) {
  const [text, setText] = useState("");
  return (
    <Dialog title={t("terminal.key.paste")} onClose={onClose} focusNext={() => pane.view.focus()}>
      <TextArea label={t("terminal.paste.here")} rows={4} value={text} onText={setText} spellcheck={false} />
      <div class="buttons">
        <Button
          kind="main"
          disabled={text === ""}
          onClick={() => {
            onClose();
            pane.pasteText(text);
          }}
        >
          {t("terminal.key.paste")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { IconButton } from "../ui/button";
import { Dialog } from "../ui/dialog";
import type { Pane } from "./pane";

const KEPT = 100;

/** What was sent, newest last. Only in memory: lines have passwords in them now and then. */
const lines = signal<string[]>([]);

/** A line written with the keyboard's own editing and suggestions, and sent as a whole. */
export function ComposedLine({ pane }: { pane: Pane }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState("");
  const [at, setAt] = useState<number | null>(null); // of the line that was taken from the history
  const [isChoosing, setChoosing] = useState(false);

  useEffect(() => field.current?.focus(), []);
  useEffect(() => {
    const area = field.current;
    if (area === null) return;
    area.style.height = "auto"; // as high as what is in it
    area.style.height = `${area.scrollHeight + 2}px`;
  }, [text]);

  function send(withEnter: boolean): void {
    if (text === "" && !withEnter) return;
    if (text !== "") lines.value = [...lines.value.filter((line) => line !== text), text].slice(-KEPT);
    // A line break of the field is Enter, as it would be if it was typed.
    pane.scroller.toEnd();
    pane.stream.type(text.replace(/\r?\n/g, "\r") + (withEnter ? "\r" : ""));
    setText("");
    setAt(null);
    field.current?.focus();
  }

  function recall(by: number): void {
    const next = (at ?? lines.value.length) + by;
    if (next < 0 || next > lines.value.length) return;
    setAt(next === lines.value.length ? null : next);
    setText(lines.value[next] ?? "");
  }

  function key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    const isOneLine = !text.includes("\n");
    if (event.key === "Enter" && !event.shiftKey) send(true);
    else if (event.key === "ArrowUp" && isOneLine) recall(-1);
    else if (event.key === "ArrowDown" && isOneLine) recall(1);
    else if (event.key === "Escape") pane.view.focus();
    else return;
    event.preventDefault();
  }

  return (
    <form
      class="composed-line"
      onSubmit={(event) => {
        event.preventDefault();
        send(true);
      }}
    >
      <IconButton
        icon="history"
        label={t("terminal.line.history")}
        disabled={lines.value.length === 0}
        onClick={() => setChoosing(true)}
      />
      <textarea
        ref={field}
        rows={1}
        aria-label={t("terminal.line.label")}
        placeholder={t("terminal.line.label")}
        enterkeyhint="send"
        autocapitalize="none"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={key}
      />
      <IconButton
        icon="insert"
        label={t("terminal.line.type")}
        disabled={text === ""}
        onMouseDown={(event: MouseEvent) => event.preventDefault()}
        onClick={() => send(false)}
      />
      <IconButton
        icon="send"
        type="submit"
        kind="main"
        label={t("terminal.line.send")}
        onMouseDown={(event: MouseEvent) => event.preventDefault()}
      />
      {isChoosing && (
        <Dialog title={t("terminal.line.history")} onClose={() => setChoosing(false)}>
          <ul class="line-list">
            {[...lines.value].reverse().map((line) => (
              <li key={line}>
                <button
                  type="button"
                  class="button quiet"
                  onClick={() => {
                    setText(line);
                    setChoosing(false);
                  }}
                >
                  {line}
                </button>
              </li>
            ))}
          </ul>
        </Dialog>
      )}
    </form>
  );
}

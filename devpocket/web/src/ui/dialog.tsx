import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { t } from "../lib/i18n";
import { IconButton } from "./button";
import { Toasts } from "./toast";

/** The dialogs that are open, the last on top. */
const open = signal<readonly string[]>([]);

interface Props {
  title: string;
  /** Absent: there is no way but one of those that the content offers. */
  onClose?: () => void;
  /** Takes the focus afterwards; absent: what had it before. Until then nothing outside of the dialog can have it. */
  focusNext?: (() => void) | undefined;
  children: ComponentChildren;
}

/**
 * A modal sheet: from below on a phone, in the middle elsewhere. The browser keeps the focus in it, and all else from
 * being reached: what is said in passing is therefore said in the one on top.
 */
export function Dialog({ title, onClose, focusNext, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const next = useRef(focusNext);
  next.current = focusNext;
  useEffect(() => {
    const shown = dialog.current;
    const before = document.activeElement;
    shown?.showModal();
    open.value = [...open.value, id];
    return () => {
      open.value = open.value.filter((one) => one !== id);
      shown?.close();
      if (next.current) return next.current();
      if (!(before instanceof HTMLElement)) return;
      before.blur(); // Chromium gave it the focus while it was inert still, and then lets nobody type into it
      before.focus();
    };
  }, [id]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a press beside the sheet is one more way; Escape and the button are there
    <dialog
      ref={dialog}
      class="sheet"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClose={(event) => {
        // Chromium closes at the second Escape whatever is said; whoever shows the dialog decides.
        if (event.currentTarget.isConnected && open.value.includes(id)) {
          if (onClose) onClose();
          else event.currentTarget.showModal();
        }
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose?.();
      }}
    >
      <div class="sheet-body">
        <div class="sheet-head">
          <h2 id={id}>{title}</h2>
          {onClose && <IconButton icon="close" label={t("common.close")} onClick={onClose} />}
        </div>
        {children}
      </div>
      {open.value.at(-1) === id && <Toasts />}
    </dialog>
  );
}

/** The toasts of the page itself: while no dialog is open. */
export function PageToasts() {
  return open.value.length === 0 ? <Toasts /> : null;
}

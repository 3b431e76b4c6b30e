import { signal } from "@preact/signals";
import { t } from "../lib/i18n";
import { IconButton } from "./button";

const SHOWN_MS = 6_000;

interface Toast {
  id: number;
  kind: "info" | "bad";
  text: string;
}

const toasts = signal<readonly Toast[]>([]);
let last = 0;

/** Say something in passing, wherever the user is. What must be read stays until it is closed. */
export function toast(text: string, kind: Toast["kind"] = "info"): void {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-2), { id, kind, text }];
  if (kind === "info") setTimeout(() => expire(id), SHOWN_MS);
}

/** Its time is over, unless somebody is pointing at it or about to close it. */
function expire(id: number): void {
  if (document.querySelector(`#toast-${id}:is(:hover, :focus-within)`)) setTimeout(() => expire(id), SHOWN_MS);
  else dismiss(id);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, text }) => (
        <div key={id} id={`toast-${id}`} class={`toast ${kind}`}>
          <span>{text}</span>
          <IconButton icon="close" label={t("common.close")} onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}

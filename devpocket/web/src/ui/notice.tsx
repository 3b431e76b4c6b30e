import type { ComponentChildren } from "preact";
import { Icon } from "./icon";

/** Something to know, where it matters. `bad` interrupts a screen reader. */
export function Notice({
  kind = "info",
  children,
}: {
  kind?: "info" | "good" | "warn" | "bad";
  children: ComponentChildren;
}) {
  return (
    <div class={`notice ${kind}`} role={kind === "bad" ? "alert" : "status"}>
      <Icon name={kind === "good" ? "check" : "warning"} />
      <div>{children}</div>
    </div>
  );
}

export function Spinner({ label }: { label: string }) {
  return (
    <div class="spinner" role="status">
      <span class="ring" aria-hidden="true" />
      {label}
    </div>
  );
}

export function Progress({ percent, label }: { percent: number; label: string }) {
  return <progress max={100} value={percent} aria-label={label} />;
}

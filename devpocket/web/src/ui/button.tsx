import type { ComponentChildren, JSX } from "preact";
import { Icon, type IconName } from "./icon";

type Kind = "main" | "plain" | "quiet" | "danger";
type Props = Omit<JSX.HTMLAttributes<HTMLButtonElement>, "icon" | "label"> & {
  kind?: Kind;
  icon?: IconName;
  /** It is being done: no second press. */
  busy?: boolean;
  disabled?: boolean;
  type?: "button" | "submit";
  children?: ComponentChildren;
};

/** What both have. A busy button isn't disabled: that would take the focus from whoever has just pressed it. */
function pressable({ busy = false, disabled = false, type = "button", onClick, ...rest }: Omit<Props, "children">) {
  return {
    ...rest,
    type,
    disabled,
    "aria-disabled": busy,
    onClick(event: JSX.TargetedMouseEvent<HTMLButtonElement>) {
      if (busy) event.preventDefault();
      else onClick?.(event);
    },
  } as const;
}

export function Button({ kind = "plain", icon, children, ...rest }: Props) {
  return (
    <button {...pressable(rest)} class={`button ${kind}`}>
      {rest.busy ? <span class="ring" aria-hidden="true" /> : icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

type IconButtonProps = Omit<Props, "children" | "icon"> & { icon: IconName; label: string };

export function IconButton({ icon, label, kind = "quiet", ...rest }: IconButtonProps) {
  return (
    <button {...pressable(rest)} class={`button square ${kind}`} aria-label={label} title={label}>
      {rest.busy ? <span class="ring" aria-hidden="true" /> : <Icon name={icon} />}
    </button>
  );
}

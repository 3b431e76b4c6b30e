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

export function Button({
  kind = "plain",
  icon,
  busy = false,
  disabled = false,
  type = "button",
  children,
  ...rest
}: Props) {
  return (
    <button {...rest} type={type} class={`button ${kind}`} disabled={disabled || busy} aria-busy={busy}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

type IconButtonProps = Omit<Props, "children" | "icon"> & { icon: IconName; label: string };

export function IconButton({
  icon,
  label,
  busy = false,
  disabled = false,
  type = "button",
  kind = "quiet",
  ...rest
}: IconButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      class={`button square ${kind}`}
      aria-label={label}
      title={label}
      disabled={disabled || busy}
    >
      <Icon name={icon} />
    </button>
  );
}

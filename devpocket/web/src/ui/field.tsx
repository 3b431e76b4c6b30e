import type { ComponentChildren, JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { IconButton } from "./button";

interface Shared {
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
}

function Field({ label, hint, error, id, children }: Shared & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="problem" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

function described(id: string, { hint, error }: Shared) {
  const ids = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return { id, "aria-invalid": Boolean(error), ...(ids ? { "aria-describedby": ids } : {}) };
}

type InputProps = Shared &
  Omit<JSX.InputHTMLAttributes<HTMLInputElement>, "label" | "onInput"> & { onText(value: string): void };

/** A line of text. `onText` gets every change. */
export function TextField({ label, hint, error, onText, ...rest }: InputProps) {
  const id = useId();
  const shared = { label, hint, error };
  return (
    <Field {...shared} id={id}>
      <input {...rest} {...described(id, shared)} onInput={(event) => onText(event.currentTarget.value)} />
    </Field>
  );
}

/** A password, which can be looked at: mistyped ones cost more than seen ones. Managers and pasting work. */
export function PasswordField({ label, hint, error, onText, ...rest }: InputProps) {
  const id = useId();
  const shared = { label, hint, error };
  const [isSeen, setSeen] = useState(false);
  return (
    <Field {...shared} id={id}>
      <div class="with-button">
        <input
          {...rest}
          {...described(id, shared)}
          type={isSeen ? "text" : "password"}
          autocapitalize="none"
          spellcheck={false}
          onInput={(event) => onText(event.currentTarget.value)}
        />
        <IconButton
          icon={isSeen ? "hidden" : "seen"}
          label={t(isSeen ? "common.hidePassword" : "common.showPassword")}
          onClick={() => setSeen(!isSeen)}
        />
      </div>
    </Field>
  );
}

type AreaProps = Shared &
  Omit<JSX.TextareaHTMLAttributes<HTMLTextAreaElement>, "label" | "onInput"> & { onText(value: string): void };

export function TextArea({ label, hint, error, onText, ...rest }: AreaProps) {
  const id = useId();
  const shared = { label, hint, error };
  return (
    <Field {...shared} id={id}>
      <textarea {...rest} {...described(id, shared)} onInput={(event) => onText(event.currentTarget.value)} />
    </Field>
  );
}

type SelectProps<T extends string> = Shared & {
  value: T;
  options: readonly (readonly [value: T, label: string, disabled?: boolean])[];
  onPick(value: T): void;
  disabled?: boolean;
};

export function SelectField<T extends string>({
  label,
  hint,
  error,
  value,
  options,
  onPick,
  disabled = false,
}: SelectProps<T>) {
  const id = useId();
  const shared = { label, hint, error };
  return (
    <Field {...shared} id={id}>
      <select
        {...described(id, shared)}
        value={value}
        disabled={disabled}
        onChange={(event) => onPick(event.currentTarget.value as T)}
      >
        {options.map(([one, text, isDisabled]) => (
          <option key={one} value={one} disabled={isDisabled}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

export function CheckField({
  label,
  hint,
  checked,
  onCheck,
}: {
  label: string;
  hint?: string;
  checked: boolean;
  onCheck(value: boolean): void;
}) {
  const id = useId();
  return (
    <div class="field check">
      <input
        type="checkbox"
        {...described(id, { label, hint })}
        checked={checked}
        onChange={(event) => onCheck(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

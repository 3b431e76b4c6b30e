import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { fieldErrors, say } from "../lib/errors";
import { Notice } from "./notice";

/** A request in progress and what came of it: `run` does it, once at a time, and remembers the refusal. */
export function useRequest() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  async function run<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (busy) return undefined;
    setBusy(true);
    setError(null);
    try {
      return await work();
    } catch (refusal) {
      setError(refusal);
      return undefined;
    } finally {
      setBusy(false);
    }
  }
  return { busy, error, errors: fieldErrors(error), run, forget: () => setError(null) };
}

export type Request = ReturnType<typeof useRequest>;

interface Props {
  request: Request;
  /** Names of the server's fields that are shown here; what none of them shows is said above the form. */
  fields: readonly string[];
  /** Names of fields that can't be sent as they are; the form shows why beside them. */
  invalid?: readonly string[];
  onSubmit(): Promise<unknown>;
  /** A try to send what `invalid` forbids. */
  onRefused?: () => void;
  children: ComponentChildren;
}

/** A form that sends by `run`. After a refusal, here or by the server, the first field that has to change gets the focus. */
export function Form({ request, fields, invalid = [], onSubmit, onRefused, children }: Props) {
  const form = useRef<HTMLFormElement>(null);
  const [tries, setTries] = useState(0);
  const isShown = fields.some((field) => field in request.errors);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [tries, request.error]);
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (invalid.length === 0) return void request.run(onSubmit);
        onRefused?.();
        setTries(tries + 1);
      }}
    >
      {request.error !== null && !isShown && <Notice kind="bad">{say(request.error)}</Notice>}
      {children}
    </form>
  );
}

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
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

/** A form that sends by `run`. What no field of `fields` shows is said above it. */
export function Form({
  request,
  fields,
  onSubmit,
  children,
}: {
  request: Request;
  fields: string[];
  onSubmit(): Promise<unknown>;
  children: ComponentChildren;
}) {
  const isShown = fields.some((field) => field in request.errors);
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void request.run(onSubmit);
      }}
    >
      {request.error !== null && !isShown && <Notice kind="bad">{say(request.error)}</Notice>}
      {children}
    </form>
  );
}

import { useState } from "preact/hooks";
import { ApiError, post } from "../lib/api";
import { say } from "../lib/errors";
import { t } from "../lib/i18n";
import { findMachine, putMachine, readMachine } from "../lib/machines";
import type { Environment } from "../lib/types";
import { Notice } from "../ui/notice";

type Told = Pick<Environment, "phase" | "status"> & Partial<Pick<Environment, "idle_stop_at">>;
type Name =
  | "start"
  | "stop"
  | "restart"
  | "recover"
  | "hibernate"
  | "extend"
  | "resize"
  | `snapshots/${string}/restore`;

/** Tell the machine something. It shows at once what the server answers; a refusal is said, and the machine looked at. */
export function useAction(machine: Environment) {
  const [busy, setBusy] = useState<Name | null>(null);
  const [error, setError] = useState<unknown>(null);
  /** True when it is under way. */
  async function act(name: Name, body?: unknown): Promise<boolean> {
    if (busy !== null) return false;
    setBusy(name);
    setError(null);
    try {
      const { phase, status, idle_stop_at } = await post<Told>(`/environments/${machine.id}/${name}`, body);
      const now = findMachine(machine.id) ?? machine;
      // Unless the WebSocket was faster than the answer: then more is known already.
      if (now.updated_at === machine.updated_at)
        putMachine({ ...now, phase, status, ...(idle_stop_at === undefined ? {} : { idle_stop_at }) });
      return true;
    } catch (refused) {
      setError(refused);
      lookAgain(machine.id, refused);
      return false;
    } finally {
      setBusy(null);
    }
  }
  return { act, busy, error, refusal: error === null ? null : <Refusal error={error} />, forget: () => setError(null) };
}

/** Something else than what is shown must be true: what, is asked. */
export function lookAgain(id: string, refused: unknown): void {
  if (refused instanceof ApiError && (refused.status === 404 || refused.status === 409))
    void readMachine(id).catch(() => undefined); // says itself where the machine is gone
}

/** A refusal, and of one for the machine's phase also the server's reason. */
export function Refusal({ error }: { error: unknown }) {
  const isOfPhase = error instanceof ApiError && error.code === "invalid_state";
  return (
    <Notice kind="bad">
      <p>{isOfPhase ? t("machines.notNow") : say(error)}</p>
      {isOfPhase && <p class="said">{error.detail}</p>}
    </Notice>
  );
}

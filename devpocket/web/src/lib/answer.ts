import { useEffect, useState } from "preact/hooks";
import { get } from "./api";

/**
 * What GET `path` answers, asked again when `newer` changes; meanwhile, and after a refusal, the answer before stays.
 * Without a path nothing is asked.
 */
export function useAnswer<T>(path: string | null, newer: unknown = null) {
  const [answer, setAnswer] = useState<{ path: string; value: T } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const [busy, setBusy] = useState(true);
  useEffect(() => {
    if (path === null) return;
    const mine = new AbortController();
    setBusy(true);
    get<T>(path, { signal: mine.signal }).then(
      (value) => {
        if (mine.signal.aborted) return;
        setAnswer({ path, value });
        setError(null);
        setBusy(false);
      },
      (refusal: unknown) => {
        if (mine.signal.aborted) return;
        setError(refusal);
        setBusy(false);
      },
    );
    return () => mine.abort();
  }, [path, newer, turn]);
  return {
    value: answer?.path === path ? answer.value : null,
    error,
    busy,
    again: () => setTurn((count) => count + 1),
  };
}

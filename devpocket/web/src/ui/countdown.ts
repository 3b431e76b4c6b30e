import { useEffect, useState } from "preact/hooks";

/** Whole seconds until `untilMs` (since the epoch), going down to 0. */
export function useSecondsUntil(untilMs: number): number {
  const left = () => Math.max(0, Math.ceil((untilMs - Date.now()) / 1000));
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    if (untilMs <= Date.now()) return;
    const ticking = setInterval(() => {
      setSeconds(left());
      if (left() === 0) clearInterval(ticking);
    }, 1_000);
    return () => clearInterval(ticking);
  }, [untilMs]);
  return seconds;
}

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Link, openLink, socketUrl } from "./link";
import { KEPT, keep, type LogLine, lineOf } from "./log-lines";
import { ticket } from "./session";

/** A machine's logs, history first, and then as they are written. Null: not connected, as long as it isn't asked for. */
export function useLogs(machineId: string, isWanted = true) {
  const lines = useSignal<LogLine[]>([]);
  const link = useSignal<Link | null>(null);
  useEffect(() => {
    if (!isWanted) return;
    let coming: LogLine[] = [];
    let isAnew = false;
    let drawing = 0;
    function draw(): void {
      drawing = 0;
      lines.value = keep(isAnew ? [] : lines.peek(), coming);
      coming = [];
      isAnew = false;
    }
    const mine = openLink({
      address: async () => ({
        url: socketUrl(`logs/${encodeURIComponent(machineId)}`, { ticket: await ticket(), lines: String(KEPT) }),
      }),
      onFrame(frame) {
        if (frame.type === "welcome") {
          // The history comes again, and nothing marks where the one before left off.
          isAnew = true;
          coming = [];
        }
        const line = lineOf(frame);
        if (line === null) return;
        coming = keep(coming, [line]);
        drawing ||= requestAnimationFrame(draw); // hundreds may come at once
      },
    });
    link.value = mine;
    return () => {
      mine.close();
      cancelAnimationFrame(drawing);
      link.value = null;
      lines.value = [];
    };
  }, [machineId, isWanted]);
  return { lines: lines.value, state: link.value?.state.value ?? null, retry: () => link.peek()?.retry() };
}

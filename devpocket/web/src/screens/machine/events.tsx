import { useEffect, useState } from "preact/hooks";
import { now } from "../../lib/clock";
import { say } from "../../lib/errors";
import { merged, newestEvents, olderEvents, type Timeline } from "../../lib/events";
import { ago, dateTime } from "../../lib/format";
import { isText, t } from "../../lib/i18n";
import { phaseText } from "../../lib/phases";
import type { Environment, MachineEvent } from "../../lib/types";
import { Button, IconButton } from "../../ui/button";
import { useRequest } from "../../ui/form";
import { Notice, Spinner } from "../../ui/notice";

/** What happened, newest first. */
export function Events({ machine: { id, updated_at } }: { machine: Environment }) {
  const [timeline, setTimeline] = useState<Timeline | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const older = useRequest();
  useEffect(() => {
    let isLeft = false;
    newestEvents(id).then(
      (newest) => {
        if (isLeft) return;
        setTimeline((known) => merged(known, newest));
        setError(null);
      },
      (refused: unknown) => {
        if (!isLeft) setError(refused);
      },
    );
    return () => {
      isLeft = true;
    };
  }, [id, updated_at, turn]); // what changes the machine writes an event as well
  return (
    <section class="card">
      <div class="head">
        <h2>{t("machine.events")}</h2>
        <IconButton icon="refresh" label={t("machines.readAnew")} onClick={() => setTurn(turn + 1)} />
      </div>
      {error !== null && (
        <Notice kind="bad">
          <p>{say(error)}</p>
          <Button icon="refresh" onClick={() => setTurn(turn + 1)}>
            {t("common.retry")}
          </Button>
        </Notice>
      )}
      {timeline === null && error === null && <Spinner label={t("common.loading")} />}
      {timeline && (
        <ol class="timeline">
          {timeline.events.map((event) => (
            <Event key={event.id} event={event} />
          ))}
        </ol>
      )}
      {older.error !== null && <Notice kind="bad">{say(older.error)}</Notice>}
      {timeline && timeline.from > 0 && (
        <Button
          busy={older.busy}
          onClick={() =>
            older.run(async () => {
              const more = await olderEvents(id, timeline.from);
              setTimeline((known) => merged(known, more));
            })
          }
        >
          {t("events.older")}
        </Button>
      )}
    </section>
  );
}

function Event({ event }: { event: MachineEvent }) {
  const kind = `event.${event.kind}`;
  const said =
    event.kind === "phase_changed" || !isText(kind) ? t(phaseText({ phase: event.phase, hibernated: false })) : t(kind);
  return (
    <li>
      <p>
        <strong>{said}</strong>
        {event.actor && <span class="hint"> {event.actor === "operator" ? t("events.operator") : event.actor}</span>}
      </p>
      {event.message && <p class="said">{event.message}</p>}
      <p class="hint">
        <time dateTime={event.at} title={dateTime(event.at)}>
          {ago(event.at, now.value)}
        </time>
      </p>
    </li>
  );
}

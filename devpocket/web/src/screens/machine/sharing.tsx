import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { useAnswer } from "../../lib/answer";
import { post, remove } from "../../lib/api";
import { now } from "../../lib/clock";
import { say } from "../../lib/errors";
import { ago } from "../../lib/format";
import { type Text, t } from "../../lib/i18n";
import type { Environment, Share, TerminalSession } from "../../lib/types";
import { Button } from "../../ui/button";
import { CopyField } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";
import { SelectField } from "../../ui/field";
import { useRequest } from "../../ui/form";
import { Notice, Spinner } from "../../ui/notice";
import { lookAgain, Refusal } from "../use-action";

const LIVES = ["900", "3600", "28800", "86400"] as const; // seconds; a day is the most that the server allows
type Life = (typeof LIVES)[number];

export function Sharing({ machine }: { machine: Environment }) {
  const isRunning = machine.phase === "running"; // else there is nobody to ask
  const sessions = useAnswer<TerminalSession[]>(isRunning ? `/environments/${machine.id}/sessions` : null);
  return (
    <>
      <Guests machine={machine} sessions={sessions.value ?? []} />
      <section class="card">
        <h2>{t("sessions.title")}</h2>
        <p class="hint">{t("sessions.what")}</p>
        {!isRunning ? (
          <p>{t("sessions.notRunning")}</p>
        ) : (
          <>
            {sessions.error !== null && <Notice kind="bad">{say(sessions.error)}</Notice>}
            {sessions.value === null && sessions.busy && <Spinner label={t("common.loading")} />}
            {sessions.value?.length === 0 && <p class="hint">{t("sessions.none")}</p>}
            <ul class="entries">
              {sessions.value?.map((session) => (
                <Session key={session.session} machine={machine} session={session} onEnded={sessions.again} />
              ))}
            </ul>
            <div class="buttons">
              <Button icon="refresh" busy={sessions.busy} onClick={sessions.again}>
                {t("machines.readAnew")}
              </Button>
            </div>
          </>
        )}
      </section>
    </>
  );
}

const nameOf = ({ name }: Pick<TerminalSession, "name">) => name ?? t("sessions.main");

function Session({ machine, session, onEnded }: { machine: Environment; session: TerminalSession; onEnded(): void }) {
  const [isAsked, setAsked] = useState(false);
  const request = useRequest();
  const query = session.name === null ? "" : `?session=${encodeURIComponent(session.name)}`;
  return (
    <li>
      <h3>{nameOf(session)}</h3>
      <p class="hint">
        {t("sessions.facts", { attached: session.attached, used: ago(session.last_activity_at, now.value) })}
      </p>
      <div class="buttons">
        <Link href={`/machines/${machine.id}/terminal${query}`} class="button">
          {t("sessions.open")}
          <span class="unseen"> {nameOf(session)}</span>
        </Link>
        <Button kind="danger" onClick={() => setAsked(true)}>
          {t("sessions.end")}
          <span class="unseen"> {nameOf(session)}</span>
        </Button>
      </div>
      {isAsked && (
        <Dialog title={`${t("sessions.end")}: ${nameOf(session)}`} onClose={() => setAsked(false)}>
          <p>{t("sessions.endLong")}</p>
          {request.error !== null && <Refusal error={request.error} />}
          <div class="buttons">
            <Button
              kind="danger"
              busy={request.busy}
              onClick={() =>
                request.run(async () => {
                  await remove(`/environments/${machine.id}/sessions/${encodeURIComponent(session.session)}`);
                  setAsked(false);
                  onEnded();
                })
              }
            >
              {t("sessions.end")}
            </Button>
            <Button onClick={() => setAsked(false)}>{t("common.cancel")}</Button>
          </div>
        </Dialog>
      )}
    </li>
  );
}

function Guests({ machine, sessions }: { machine: Environment; sessions: TerminalSession[] }) {
  const shares = useAnswer<Share[]>(`/environments/${machine.id}/terminal-shares`);
  const [mode, setMode] = useState<Share["mode"]>("view");
  const [life, setLife] = useState<Life>("3600");
  const [session, setSession] = useState("");
  const [made, setMade] = useState<Share | null>(null);
  const request = useRequest();
  async function make(): Promise<void> {
    try {
      const wanted = { mode, expires_in: Number(life), session: session === "" ? null : session };
      setMade(await post<Share>(`/environments/${machine.id}/terminal-shares`, wanted));
    } catch (refused) {
      lookAgain(machine.id, refused);
      throw refused;
    } finally {
      shares.again();
    }
  }
  const named = sessions.flatMap(({ name }) => (name === null ? [] : [[name, name] as const]));
  return (
    <section class="card">
      <h2>{t("shares.title")}</h2>
      <p class="hint">{t("shares.what")}</p>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void request.run(make);
        }}
      >
        <SelectField
          label={t("shares.mode")}
          hint={mode === "write" ? t("shares.writeHint") : undefined}
          value={mode}
          options={[
            ["view", t("shares.view")],
            ["write", t("shares.write")],
          ]}
          onPick={(picked) => setMode(picked)}
        />
        <SelectField
          label={t("shares.life")}
          value={life}
          options={LIVES.map((seconds) => [seconds, t(`shares.life${seconds}` as Text)])}
          onPick={(picked) => setLife(picked)}
        />
        {named.length > 0 && (
          <SelectField
            label={t("shares.session")}
            value={session}
            options={[["", t("sessions.main")], ...named]}
            onPick={setSession}
          />
        )}
        {request.error !== null && <Refusal error={request.error} />}
        <Button kind="main" icon="link" type="submit" busy={request.busy}>
          {t("shares.make")}
        </Button>
      </form>
      {made?.url && (
        <div class="made">
          <CopyField label={t("shares.link")} value={made.url} />
          <p class="hint">{t("shares.once")}</p>
        </div>
      )}
      {shares.error !== null && <Notice kind="bad">{say(shares.error)}</Notice>}
      <ul class="entries">
        {shares.value?.map((share) => (
          <ShareEntry
            key={share.id}
            machine={machine}
            share={share}
            onRevoked={() => {
              if (made?.id === share.id) setMade(null);
              shares.again();
            }}
          />
        ))}
      </ul>
    </section>
  );
}

function ShareEntry({ machine, share, onRevoked }: { machine: Environment; share: Share; onRevoked(): void }) {
  const request = useRequest();
  const isActive = share.active && Date.parse(share.expires_at) > now.value;
  const ended = share.revoked_at
    ? t("shares.revoked", { ago: ago(share.revoked_at, now.value) })
    : t("shares.expired", { ago: ago(share.expires_at, now.value) });
  return (
    <li>
      <h3>
        {t(`shares.${share.mode}`)} · {nameOf({ name: share.session })}
      </h3>
      <p class="hint">
        {isActive ? t("shares.until", { in: ago(share.expires_at, now.value) }) : ended}{" "}
        {t("shares.opened", { count: share.opened_count, viewers: share.viewers })}
      </p>
      {request.error !== null && <Refusal error={request.error} />}
      {isActive && (
        <div class="buttons">
          <Button
            kind="danger"
            busy={request.busy}
            onClick={() =>
              request.run(async () => {
                await remove(`/environments/${machine.id}/terminal-shares/${share.id}`);
                onRevoked();
              })
            }
          >
            {t("shares.revoke")}
          </Button>
        </div>
      )}
    </li>
  );
}

import { useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { ApiError, remove } from "../../lib/api";
import { say } from "../../lib/errors";
import { ago, dateTime } from "../../lib/format";
import { t } from "../../lib/i18n";
import type { SignInSession } from "../../lib/types";
import { device } from "../../lib/user-agent";
import { Button } from "../../ui/button";
import { useRequest } from "../../ui/form";
import { Notice, Spinner } from "../../ui/notice";
import { toast } from "../../ui/toast";

async function end(id: string): Promise<void> {
  try {
    await remove(`/users/me/sessions/${id}`);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error; // it has ended by itself: just as well
  }
}

/** Where the user is signed in. */
export function Sessions() {
  const sessions = useAnswer<SignInSession[]>("/users/me/sessions?limit=200");
  const [ending, setEnding] = useState<string | null>(null);
  const request = useRequest();
  const others = sessions.value?.filter((one) => !one.current) ?? [];
  const all = sessions.value?.filter((one) => one.current).concat(others);

  const endSome = (those: SignInSession[], name: string) => {
    setEnding(name);
    return request.run(async () => {
      try {
        for (const { id } of those) await end(id);
        toast(t("settings.sessionsEnded"));
      } finally {
        sessions.again();
      }
    });
  };

  return (
    <section class="card">
      <p class="hint">{t("settings.sessionsLong")}</p>
      {sessions.error !== null && <Notice kind="bad">{say(sessions.error)}</Notice>}
      {request.error !== null && <Notice kind="bad">{say(request.error)}</Notice>}
      {all === undefined && sessions.error === null && <Spinner label={t("common.loading")} />}
      {sessions.error !== null && <Button onClick={sessions.again}>{t("common.retry")}</Button>}
      <ul class="rows">
        {all?.map((session) => {
          const name = device(session.user_agent) ?? t("settings.unknownDevice");
          return (
            <li key={session.id}>
              <div>
                <strong>{name}</strong> {session.current && <span class="badge">{t("settings.thisOne")}</span>}
                <p class="hint">
                  {session.ip && <span>{session.ip} · </span>}
                  {t("settings.lastUsed", { when: ago(session.last_used_at) })} ·{" "}
                  {t("settings.since", { when: dateTime(session.created_at) })}
                </p>
              </div>
              {!session.current && (
                <Button
                  busy={request.busy && ending === session.id}
                  aria-label={t("settings.endSession", { name })}
                  onClick={() => endSome([session], session.id)}
                >
                  {t("settings.end")}
                </Button>
              )}
            </li>
          );
        })}
      </ul>
      {others.length > 0 && (
        <Button kind="danger" busy={request.busy && ending === "all"} onClick={() => endSome(others, "all")}>
          {t("settings.endOthers")}
        </Button>
      )}
    </section>
  );
}

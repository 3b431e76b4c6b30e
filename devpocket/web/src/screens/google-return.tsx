import { useEffect } from "preact/hooks";
import { Link, Redirect, useSearchParams } from "wouter-preact";
import { ApiError } from "../lib/api";
import { say } from "../lib/errors";
import { finish, google, goToGoogle } from "../lib/google-return";
import { t } from "../lib/i18n";
import { info, readInfo } from "../lib/info";
import { withNext } from "../lib/next";
import { state } from "../lib/session";
import { Notice, Spinner } from "../ui/notice";
import { CardPage } from "../ui/page";
import { useNext } from "./use-next";

/** On the way to Google, and back from there. `?again=1`: for another tab, whose user has to sign in once more. */
export function Google() {
  const next = useNext();
  const isForOther = useSearchParams()[0].has("again");
  const now = google.value;
  const isIn = state.value.kind === "in";
  useEffect(() => {
    if (now.kind === "answered") void finish(now.idToken);
    if (now.kind === "idle" && (isForOther || !isIn)) void leave();
  }, [now, isForOther, isIn]);

  if (now.kind === "failed") return <Failed problem={now.problem} next={next} />;
  if (now.kind === "done" && isForOther) {
    return (
      <CardPage title={t("account.google")}>
        <Notice kind="good">{t("account.googleDone")}</Notice>
      </CardPage>
    );
  }
  if (isIn && !isForOther && now.kind !== "answered" && now.kind !== "busy") return <Redirect to={next} replace />;
  return <Spinner label={t("common.loading")} />;
}

async function leave(): Promise<void> {
  try {
    await readInfo();
  } catch (error) {
    google.value = { kind: "failed", problem: error as ApiError };
    return;
  }
  const clientId = info.value?.google_web_client_id;
  if (clientId) goToGoogle(clientId);
  else google.value = { kind: "failed", problem: new ApiError(503, "google_not_configured", "") };
}

type Problem = Extract<typeof google.value, { kind: "failed" }>["problem"];

function Failed({ problem, next }: { problem: Problem; next: string }) {
  return (
    <CardPage title={t("account.google")}>
      <Notice kind="bad">{problem instanceof ApiError ? say(problem) : t(`account.google.${problem}`)}</Notice>
      {/* A page load, and not a link within the app: it forgets the failure. */}
      <a class="button main" href={withNext("/google", next)}>
        {t("common.retry")}
      </a>
      <Link class="button" href={withNext("/sign-in", next)}>
        {t("account.withPassword")}
      </Link>
    </CardPage>
  );
}

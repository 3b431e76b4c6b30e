import { useEffect } from "preact/hooks";
import { Link, Redirect, Route, Switch, useLocation, useSearchParams } from "wouter-preact";
import { say } from "./lib/errors";
import { t } from "./lib/i18n";
import { canStore } from "./lib/prefs";
import { restore, state } from "./lib/session";
import { Machines } from "./screens/machines";
import { SignIn } from "./screens/sign-in";
import { Button } from "./ui/button";
import { lazily } from "./ui/lazily";
import { Notice, Spinner } from "./ui/notice";
import { CardPage } from "./ui/page";
import { Toasts, toast } from "./ui/toast";

const NewMachine = lazily(() => import("./screens/new-machine").then((screen) => screen.NewMachine));
const MachinePage = lazily(() => import("./screens/machine/page").then((screen) => screen.MachinePage));

/** Where to go after signing in; only addresses of ours. */
export function useNext(): string {
  const next = useSearchParams()[0].get("next") ?? "/";
  return next.startsWith("/") && !next.startsWith("//") ? next : "/";
}

export function App() {
  useEffect(() => {
    if (!canStore.value) toast(t("common.notStored"), "bad");
  }, [canStore.value]);
  return (
    <>
      <a class="skip" href="#main">
        {t("common.skip")}
      </a>
      <ForUsers />
      <Toasts />
    </>
  );
}

function ForUsers() {
  const now = state.value;
  if (now.kind === "unknown") return <Spinner label={t("common.loading")} />;
  if (now.kind === "away")
    return (
      <CardPage title={t("common.away")}>
        <Notice kind="bad">{say(now.error)}</Notice>
        <Button kind="main" icon="refresh" onClick={restore}>
          {t("common.retry")}
        </Button>
      </CardPage>
    );
  return now.kind === "in" ? <SignedIn /> : <SignedOut />;
}

function SignedOut() {
  const [path] = useLocation();
  return (
    <Switch>
      <Route path="/sign-in" component={SignIn} />
      <Route path="/">
        <Redirect to="/sign-in" replace />
      </Route>
      <Route>
        <Redirect to={`/sign-in?next=${encodeURIComponent(path)}`} replace />
      </Route>
    </Switch>
  );
}

function SignedIn() {
  const next = useNext();
  return (
    <Switch>
      <Route path="/" component={Machines} />
      <Route path="/new">
        <NewMachine />
      </Route>
      <Route path="/machines/:id/:tab?">{({ id, tab }) => <MachinePage id={id} {...(tab ? { tab } : {})} />}</Route>
      {["/sign-in", "/sign-up", "/forgot", "/google"].map((path) => (
        <Route key={path} path={path}>
          <Redirect to={next} replace />
        </Route>
      ))}
      <Route component={NotHere} />
    </Switch>
  );
}

function NotHere() {
  return (
    <CardPage title={t("common.notHere")}>
      <p>{t("common.notHereLong")}</p>
      <Link href="/" class="button main">
        {t("common.home")}
      </Link>
    </CardPage>
  );
}

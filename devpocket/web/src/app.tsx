import { useEffect } from "preact/hooks";
import { Link, Redirect, Route, Switch, useLocation, useSearch } from "wouter-preact";
import { say } from "./lib/errors";
import { t } from "./lib/i18n";
import { safeNext, withNext } from "./lib/next";
import { canStore } from "./lib/prefs";
import { restore, state, user } from "./lib/session";
import { Machines } from "./screens/machines";
import { SignIn } from "./screens/sign-in";
import { SignInAgain } from "./screens/sign-in-again";
import { useNext } from "./screens/use-next";
import { Button } from "./ui/button";
import { PageToasts } from "./ui/dialog";
import { lazily } from "./ui/lazily";
import { Notice, Spinner } from "./ui/notice";
import { CardPage } from "./ui/page";
import { toast } from "./ui/toast";

const NewMachine = lazily(() => import("./screens/new-machine").then((screen) => screen.NewMachine));
const MachinePage = lazily(() => import("./screens/machine/page").then((screen) => screen.MachinePage));
const SignUp = lazily(async () => (await import("./screens/sign-up")).SignUp);
const Verify = lazily(async () => (await import("./screens/verify")).Verify);
const Forgot = lazily(async () => (await import("./screens/forgot")).Forgot);
const Settings = lazily(async () => (await import("./screens/settings")).Settings);
const Google = lazily(async () => (await import("./screens/google-return")).Google);
const TerminalScreen = lazily(() => import("./terminal/screen").then((module) => module.TerminalScreen));
const GuestScreen = lazily(() => import("./terminal/guest").then((module) => module.GuestScreen));

export function App() {
  const [path] = useLocation();
  useEffect(() => {
    if (!canStore.value) toast(t("common.notStored"), "bad");
  }, [canStore.value]);
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it is a way within the page */}
      <a class="skip" href="#main" onClick={skip}>
        {t("common.skip")}
      </a>
      {path === "/t" ? <GuestScreen /> : <ForUsers />}
      <PageToasts />
    </>
  );
}

/** Without the fragment: it would be in the address, where a guest's link has its token. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function ForUsers() {
  const now = state.value;
  if (now.kind === "unknown") return <Spinner label={t("common.loading")} />;
  if (now.kind === "away")
    return (
      <CardPage title={t("common.away")}>
        <Notice kind="bad">{say(now.error)}</Notice>
        <p>{t("common.awayLong")}</p>
        <Button kind="main" icon="refresh" onClick={restore}>
          {t("common.retry")}
        </Button>
      </CardPage>
    );
  if (now.kind === "out") return <SignedOut />;
  return (
    <>
      {/* Somebody else than before begins afresh; whoever signs in again goes on where they were. */}
      <SignedIn key={now.user.id} />
      <SignInAgain />
    </>
  );
}

function SignedOut() {
  const [path] = useLocation();
  const search = useSearch();
  const now = state.value;
  // Whoever left on purpose doesn't want to be led back, and who comes next perhaps can't.
  const hasLeft = now.kind === "out" && (now.because === "signed_out" || now.because === "closed");
  const next = hasLeft ? "/" : safeNext(path + (search && `?${search}`));
  return (
    <Switch>
      <Route path="/sign-in" component={SignIn} />
      <Route path="/sign-up" component={SignUp} />
      <Route path="/forgot" component={Forgot} />
      <Route path="/google" component={Google} />
      <Route>
        <Redirect to={withNext("/sign-in", next)} replace />
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
      <Route path="/machines/:id/terminal" component={TerminalScreen} />
      <Route path="/machines/:id/:tab?">{({ id, tab }) => <MachinePage id={id} {...(tab ? { tab } : {})} />}</Route>
      <Route path="/verify" component={Verify} />
      <Route path="/settings/:page?">{({ page }) => <Settings page={page} />}</Route>
      <Route path="/google" component={Google} />
      <Route path="/sign-up">
        <Redirect to={user.value?.is_verified ? next : withNext("/verify", next)} replace />
      </Route>
      {["/sign-in", "/forgot"].map((path) => (
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

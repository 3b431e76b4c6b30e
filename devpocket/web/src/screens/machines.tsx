import { useEffect } from "preact/hooks";
import { Link } from "wouter-preact";
import { say } from "../lib/errors";
import { clock } from "../lib/format";
import { isText, t } from "../lib/i18n";
import { info, readInfo } from "../lib/info";
import { knownBy, machines, news, readMachines, retryNews } from "../lib/machines";
import { allows } from "../lib/phases";
import { user } from "../lib/session";
import type { Environment } from "../lib/types";
import { Button } from "../ui/button";
import { useRequest } from "../ui/form";
import { Icon } from "../ui/icon";
import { Notice, Spinner } from "../ui/notice";
import { Page } from "../ui/page";
import { Cost, Fault, IdleStop, MachineProgress, OpenTerminal, PhaseBadge, Usage } from "./machine-parts";
import { useAction } from "./use-action";

/** All machines of the user, as they are now. */
export function Machines() {
  const all = machines.value;
  return (
    <Page title={t("machines.title")}>
      <Unverified />
      <NewsNotice />
      {all === null && <Spinner label={t("common.loading")} />}
      {all?.length === 0 && <Nothing />}
      {all !== null && all.length > 0 && (
        <>
          <Link href="/new" class="button main">
            <Icon name="plus" />
            {t("machines.new")}
          </Link>
          <ul class="machines">
            {all.map((machine) => (
              <Card key={machine.id} machine={machine} />
            ))}
          </ul>
        </>
      )}
    </Page>
  );
}

/** The way to a verified address, where the server wants one. */
export function Unverified() {
  const who = user.value;
  return who === null || who.is_verified ? null : <VerifyNotice email={who.email} />;
}

function VerifyNotice({ email }: { email: string }) {
  useEffect(() => void readInfo().catch(() => undefined), []); // whoever can't be asked says so elsewhere
  if (!info.value?.features.email_verification) return null;
  return (
    <Notice kind="warn">
      <p>{t("machines.unverified", { email })}</p>
      <Link href="/verify" class="button">
        {t("machines.verify")}
      </Link>
    </Notice>
  );
}

function Nothing() {
  return (
    <section class="card nothing">
      <Icon name="machine" />
      <h2>{t("machines.none")}</h2>
      <p>{t("machines.noneLong")}</p>
      <Link href="/new" class="button main">
        <Icon name="plus" />
        {t("machines.new")}
      </Link>
    </section>
  );
}

/** How current what is shown is, where that isn't "now". */
export function NewsNotice() {
  const request = useRequest();
  const state = news.value;
  // The first try, and one that follows a lost connection at once, are no news to anybody.
  if (state === null || state.kind === "open" || (state.kind === "connecting" && state.attempt < 2)) return null;
  if (state.kind === "waiting" && state.attempt < 2) return null;
  const known = knownBy.value;
  const why = `error.${state.kind === "ended" ? state.why : ""}`;
  return (
    <Notice kind="warn">
      <p>
        {known?.kind === "asked"
          ? t("machines.asked", { at: clock(known.at) })
          : t(known === null ? "machines.notConnected" : "machines.notLive")}
        {state.kind === "ended" && ` ${isText(why) ? t(why) : state.message}`}
      </p>
      {request.error !== null && <p class="problem">{say(request.error)}</p>}
      <div class="buttons">
        <Button icon="refresh" onClick={retryNews} disabled={state.kind === "connecting"}>
          {t("machines.connect")}
        </Button>
        <Button busy={request.busy} onClick={() => request.run(readMachines)}>
          {t("machines.readAnew")}
        </Button>
      </div>
    </Notice>
  );
}

function Card({ machine }: { machine: Environment }) {
  const { act, busy, refusal } = useAction(machine);
  const quick = allows(machine, "start") ? "start" : allows(machine, "recover") ? "recover" : null;
  return (
    <li class="card machine">
      <div class="head">
        <h2>
          <Link href={`/machines/${machine.id}`} class="whole">
            {machine.name}
          </Link>
        </h2>
        <PhaseBadge machine={machine} />
      </div>
      <p class="hint">{machine.template_name}</p>
      <MachineProgress machine={machine} />
      <Usage machine={machine} />
      <Fault machine={machine} />
      <IdleStop machine={machine} />
      <Cost machine={machine} />
      {refusal}
      <div class="buttons above">
        <OpenTerminal machine={machine} main={machine.phase === "running"} />
        {quick && (
          <Button
            icon={quick === "start" ? "play" : "refresh"}
            kind="main"
            busy={busy === quick}
            onClick={() => act(quick)}
          >
            {t(`action.${quick}`)}
            <span class="unseen"> {machine.name}</span>
          </Button>
        )}
      </div>
    </li>
  );
}

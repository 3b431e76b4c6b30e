import { untracked } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Link, useLocation, useSearchParams } from "wouter-preact";
import { get, post, remove } from "../lib/api";
import { say } from "../lib/errors";
import { t } from "../lib/i18n";
import { findMachine } from "../lib/machines";
import { isOnTheWay } from "../lib/phases";
import { signInAgain, ticket } from "../lib/session";
import type { Environment, TerminalSession } from "../lib/types";
import { Button } from "../ui/button";
import { useRequest } from "../ui/form";
import { Icon } from "../ui/icon";
import { useTitle } from "../ui/page";
import { toast } from "../ui/toast";
import { Again, HasEnded } from "./covers";
import { Frame } from "./frame";
import { type Pane, SIGN_IN } from "./pane";
import { dropPane, findPane, paneOf, restPanes } from "./panes";
import { EndSession, Tabs } from "./tabs";

/** The terminals of one machine: its own session and further ones, a tab each. `?session=` names the one that is shown. */
export function TerminalScreen({ params }: { params: { id: string } }) {
  const { id } = params;
  const [, go] = useLocation();
  const wanted = useSearchParams()[0].get("session");
  const current = wanted !== null && /^[a-z0-9-]{1,32}$/.test(wanted) ? wanted : null;
  const machine = findMachine(id);
  const [names, setNames] = useState<(string | null)[]>([null]);
  const [isEnding, setEnding] = useState(false);
  const ending = useRequest();
  const shown = names.includes(current) ? names : [...names, current];
  const pane = useMemo(
    () =>
      untracked(() =>
        paneOf({
          environmentId: id,
          session: current,
          isGuest: false,
          enter: async () => ({ query: { ticket: await ticket() } }),
        }),
      ),
    [id, current],
  );
  const isAttached = pane.stream.isAttached.value;
  const name = machine?.name ?? pane.stream.machine.value?.name ?? "";
  useTitle(pane.title.value || `${name} · ${t("terminal.title")}`);

  useEffect(() => () => restPanes(id), [id]);
  useEffect(() => {
    if (!isAttached) return; // there is nobody to ask before
    get<TerminalSession[]>(`/environments/${id}/sessions`).then(
      (found) =>
        setNames((now) => [null, ...new Set([...now, ...found.map((one) => one.name)].filter((one) => one !== null))]),
      () => undefined, // the tabs that are open are known anyway
    );
  }, [id, isAttached]);
  useComeBack(pane, machine);

  function show(session: string | null): void {
    go(`/machines/${id}/terminal${session === null ? "" : `?session=${session}`}`, { replace: true });
  }

  /** Its tab goes; the machine's own stays, and begins anew when it is asked to. */
  function forget(session: string | null): void {
    setNames((now) => now.filter((one) => one === null || one !== session));
    if (session === null) return;
    show(null);
    dropPane(id, session);
  }

  async function end(): Promise<void> {
    await ending.run(async () => {
      try {
        await remove(`/environments/${id}/sessions/${current ?? `devpocket_${id}`}`);
      } catch (error) {
        if ((error as { status?: number }).status !== 404) throw error; // it had ended already
      }
      setEnding(false);
      forget(current);
    });
  }

  return (
    <>
      <Frame
        pane={pane}
        header={
          <>
            <Link href={`/machines/${id}`} class="button square quiet" aria-label={t("terminal.toMachine", { name })}>
              <Icon name="back" />
            </Link>
            <h1 class="unseen">{`${name} · ${t("terminal.title")}`}</h1>
            <Tabs
              names={shown}
              current={current}
              onPick={show}
              onAdd={(added) => {
                setNames((now) => (now.includes(added) ? now : [...now, added]));
                show(added);
              }}
              onEnd={() => setEnding(true)}
            />
          </>
        }
        cover={<Ended pane={pane} machine={machine} onForget={() => forget(current)} />}
      />
      {isEnding && (
        <EndSession
          name={current}
          busy={ending.busy}
          error={ending.error === null ? null : say(ending.error)}
          onClose={() => {
            setEnding(false);
            ending.forget();
          }}
          onEnd={() => void end().then(() => findPane(id, current)?.view.focus())}
        />
      )}
    </>
  );
}

/** The machine was off and runs again, or is on its way to: so does the terminal. */
function useComeBack(pane: Pane, machine: Environment | null | undefined): void {
  const phase = machine?.phase;
  const wasOff = pane.stream.ended.value?.why === "environment_not_running";
  const endedIn = useRef(phase);
  useEffect(() => {
    // What is known of the machine may be older than the refusal: only a change since then is a reason to come back.
    if (!wasOff) endedIn.current = phase;
    else if (phase !== undefined && phase !== endedIn.current && (phase === "running" || isOnTheWay({ phase })))
      pane.stream.retry();
  }, [pane, phase, wasOff]);
}

function Ended({ pane, machine, onForget }: { pane: Pane; machine: Environment | null | undefined; onForget(): void }) {
  const ended = pane.stream.ended.value;
  if (ended === null) return null;
  const { environmentId, session } = pane.place;
  const toMachine = (
    <Link href={`/machines/${environmentId}`} class="button">
      {t("terminal.toMachineShort")}
    </Link>
  );
  const home = (
    <Link href="/" class="button">
      {t("common.home")}
    </Link>
  );
  if (ended.why === "session_ended")
    return (
      <HasEnded ended={ended}>
        <Again pane={pane} label="terminal.newShellNow" />
        {session === null ? toMachine : <Button onClick={onForget}>{t("terminal.closeTab")}</Button>}
      </HasEnded>
    );
  if (ended.why === "replaced")
    return (
      <HasEnded ended={ended}>
        <Again pane={pane} label="terminal.takeBack" />
        {toMachine}
      </HasEnded>
    );
  if (ended.why === "environment_not_running")
    return (
      <HasEnded ended={ended}>
        {machine?.phase === "stopped" && <Start id={environmentId} />}
        <Again pane={pane} />
        {toMachine}
      </HasEnded>
    );
  if (ended.why === "environment_not_found") return <HasEnded ended={ended}>{home}</HasEnded>;
  if (SIGN_IN.has(ended.why))
    return (
      <HasEnded ended={{ ...ended, why: "authentication_failed" }}>
        <Button kind="main" onClick={() => void signInAgain("ended").then((isIn) => isIn && pane.stream.retry())}>
          {t("terminal.signInAgain")}
        </Button>
        {home}
      </HasEnded>
    );
  return (
    <HasEnded ended={ended}>
      <Again pane={pane} />
      {toMachine}
    </HasEnded>
  );
}

function Start({ id }: { id: string }) {
  const request = useRequest();
  return (
    <Button
      kind="main"
      icon="play"
      busy={request.busy}
      onClick={() =>
        void request.run(() => post(`/environments/${id}/start`).catch((error: unknown) => toast(say(error), "bad")))
      }
    >
      {t("terminal.start")}
    </Button>
  );
}

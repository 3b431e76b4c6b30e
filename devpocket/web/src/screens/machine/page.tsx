import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { ApiError } from "../../lib/api";
import { say } from "../../lib/errors";
import { type Text, t } from "../../lib/i18n";
import { findMachine, isDeleted, knownBy, readMachine } from "../../lib/machines";
import type { Environment } from "../../lib/types";
import { Button } from "../../ui/button";
import { Notice, Spinner } from "../../ui/notice";
import { CardPage, Page } from "../../ui/page";
import { Fault, MachineProgress, OpenTerminal, PhaseBadge } from "../machine-parts";
import { NewsNotice } from "../machines";
import { Events } from "./events";
import { Logs } from "./logs";
import { Metrics } from "./metrics";
import { Overview } from "./overview";
import { MachineSettings } from "./settings";
import { Sharing } from "./sharing";
import { Snapshots } from "./snapshots";
import "../../styles/machine.css";

const TABS: Record<string, [Text, ComponentType<{ machine: Environment }>]> = {
  overview: ["machine.overview", Overview],
  metrics: ["machine.metrics", Metrics],
  logs: ["machine.logs", Logs],
  events: ["machine.events", Events],
  snapshots: ["machine.snapshots", Snapshots],
  sharing: ["machine.sharing", Sharing],
  settings: ["machine.settings", MachineSettings],
};

/** One machine: what it is about, and what can be done with it. `tab`: the last part of the address. */
export function MachinePage({ id, tab = "overview" }: { id: string; tab?: string }) {
  const machine = findMachine(id);
  const shown = TABS[tab];
  const tabs = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a phone not all of them fit.
    tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [tab, machine === undefined]);
  if (machine === undefined) return <Finding id={id} />;
  if (machine === null || shown === undefined) return <Gone isDeleted={isDeleted(id)} />;
  const [, Tab] = shown;
  return (
    <Page title={machine.name} back="/">
      <NewsNotice />
      <div class="machine-head">
        <span role="status">
          <PhaseBadge machine={machine} />
        </span>
        <OpenTerminal machine={machine} main={machine.phase === "running"} />
      </div>
      <MachineProgress machine={machine} />
      <Fault machine={machine} />
      <nav ref={tabs} class="tabs" aria-label={t("machine.tabs")}>
        {Object.entries(TABS).map(([name, [label]]) => (
          <Link
            key={name}
            href={`/machines/${id}${name === "overview" ? "" : `/${name}`}`}
            aria-current={name === tab ? "page" : undefined}
            replace // "back" leads out of the machine, not through its tabs
          >
            {t(label)}
          </Link>
        ))}
      </nav>
      <Tab key={id} machine={machine} />
    </Page>
  );
}

/** The news of all machines bring this one; where they don't come, it is asked for by itself. */
function Finding({ id }: { id: string }) {
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let isLeft = false;
    setError(null);
    readMachine(id).catch((refused: unknown) => {
      if (!isLeft && knownBy.peek() === null) setError(refused);
    });
    return () => {
      isLeft = true;
    };
  }, [id, turn]);
  if (error instanceof ApiError && error.status === 404) return <Gone isDeleted={false} />;
  return (
    <Page title={t("machines.title")} back="/">
      {error === null ? (
        <Spinner label={t("common.loading")} />
      ) : (
        <Notice kind="bad">
          <p>{say(error)}</p>
          <Button icon="refresh" onClick={() => setTurn(turn + 1)}>
            {t("common.retry")}
          </Button>
        </Notice>
      )}
    </Page>
  );
}

function Gone({ isDeleted }: { isDeleted: boolean }) {
  return (
    <CardPage title={t(isDeleted ? "machine.deleted" : "common.notHere")}>
      <p>{t(isDeleted ? "machine.deletedLong" : "common.notHereLong")}</p>
      <Link href="/" class="button main">
        {t("common.home")}
      </Link>
    </CardPage>
  );
}

import { useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { say } from "../../lib/errors";
import { type Text, t } from "../../lib/i18n";
import { LEVELS, type Level, type LogFilter, type LogLine, matching, SOURCES } from "../../lib/log-lines";
import { useLogs } from "../../lib/log-stream";
import type { Environment } from "../../lib/types";
import { Button } from "../../ui/button";
import { SelectField, TextField } from "../../ui/field";
import { Notice } from "../../ui/notice";
import { LogLines, LogState } from "./log-lines";

export function Logs({ machine }: { machine: Environment }) {
  const [filter, setFilter] = useState<LogFilter>({ level: "DEBUG", source: null, text: "" });
  // The journal isn't among what comes live (docs/websocket-protocol.md): it is read.
  const isJournal = filter.source === "system";
  const live = useLogs(machine.id, !isJournal);
  return (
    <section class="card">
      <h2>{t("machine.logs")}</h2>
      <div class="filters">
        <SelectField
          label={t("logs.source")}
          value={filter.source ?? ""}
          options={[["", t("logs.all")], ...SOURCES.map((source) => [source, t(`logs.${source}` as Text)] as const)]}
          onPick={(source) => setFilter({ ...filter, source: source === "" ? null : source })}
        />
        <SelectField
          label={t("logs.level")}
          value={filter.level}
          options={LEVELS.map((level) => [level, level === "DEBUG" ? t("logs.every") : t("logs.from", { level })])}
          onPick={(level: Level) => setFilter({ ...filter, level })}
        />
        <TextField
          label={t("logs.contains")}
          type="search"
          autocapitalize="none"
          value={filter.text}
          onText={(text) => setFilter({ ...filter, text })}
        />
      </div>
      {isJournal ? (
        <Journal machine={machine} filter={filter} />
      ) : (
        <>
          <LogState state={live.state} onRetry={live.retry} />
          <LogLines lines={matching(live.lines, filter)} label={t("machine.logs")} />
        </>
      )}
      <p class="hint">{t(isJournal ? "logs.journalHint" : "logs.liveHint")}</p>
    </section>
  );
}

interface Entries {
  entries: { timestamp: string; level: Level; message: string; source: string }[];
}

function Journal({ machine, filter }: { machine: Environment; filter: LogFilter }) {
  const answer = useAnswer<Entries>(`/environments/${machine.id}/logs?source=system&lines=1000`);
  const lines: LogLine[] = (answer.value?.entries ?? []).map(({ timestamp, level, message, source }, number) => ({
    number,
    at: timestamp,
    level,
    source,
    text: message,
  }));
  return (
    <>
      {answer.error !== null && <Notice kind="bad">{say(answer.error)}</Notice>}
      <LogLines lines={matching(lines, filter)} label={t("logs.system")} />
      <div class="buttons">
        <Button icon="refresh" busy={answer.busy} onClick={answer.again}>
          {t("machines.readAnew")}
        </Button>
      </div>
    </>
  );
}

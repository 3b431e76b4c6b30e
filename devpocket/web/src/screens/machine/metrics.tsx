import { useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { type Point, rates, series } from "../../lib/charts";
import { say } from "../../lib/errors";
import { ago, bytes, number, percent, since } from "../../lib/format";
import { type Text, t } from "../../lib/i18n";
import type { Metrics as Answer, Environment } from "../../lib/types";
import { Button } from "../../ui/button";
import { SelectField } from "../../ui/field";
import { Notice, Spinner } from "../../ui/notice";
import { Chart } from "./chart";

const HOURS = ["1", "6", "24", "168"] as const;
type Hours = (typeof HOURS)[number];

export function Metrics({ machine }: { machine: Environment }) {
  const [hours, setHours] = useState<Hours>("1");
  // What the machine was last measured at comes with its news: then there is a new sample.
  const measured = [machine.phase, machine.cpu_usage, machine.memory_usage, machine.storage_usage].join();
  const answer = useAnswer<Answer>(`/environments/${machine.id}/metrics?hours=${hours}`, measured);
  const now = answer.value;
  return (
    <section class="card">
      <h2>{t("machine.metrics")}</h2>
      <div class="filters">
        <SelectField
          label={t("metrics.span")}
          value={hours}
          options={HOURS.map((count) => [count, t(`metrics.hours${count}` as Text)])}
          onPick={(picked) => setHours(picked)}
        />
        <Button icon="refresh" busy={answer.busy} onClick={answer.again}>
          {t("machines.readAnew")}
        </Button>
      </div>
      {answer.error !== null && <Notice kind="bad">{say(answer.error)}</Notice>}
      {now === null && answer.busy && <Spinner label={t("common.loading")} />}
      {now && <Charts metrics={now} hours={Number(hours)} />}
    </section>
  );
}

function Charts({ metrics, hours }: { metrics: Answer; hours: number }) {
  const { history } = metrics;
  const to = Math.max(
    Date.parse(metrics.timestamp),
    ...history.slice(-1).map(({ timestamp }) => Date.parse(timestamp)),
  );
  const span = { from: to - hours * 3_600_000, to };
  const one = (title: string, points: Point[]) => (
    <Chart title={title} lines={[{ label: "", points }]} {...span} top={100} show={percent} />
  );
  return (
    <>
      {history.length === 0 && <p>{t("metrics.nothing")}</p>}
      {history.length > 0 && (
        <>
          {one(t("machines.cpu"), series(history, "cpu_usage"))}
          {one(t("machines.memory"), series(history, "memory_usage"))}
          {one(t("machines.disk"), series(history, "storage_usage"))}
          <Chart
            title={t("metrics.network")}
            lines={[
              { label: t("metrics.in"), points: rates(history, "network_rx") },
              { label: t("metrics.out"), points: rates(history, "network_tx") },
            ]}
            {...span}
            show={(value) => t("metrics.perSecond", { bytes: bytes(value) })}
          />
        </>
      )}
      <dl class="facts">
        <div>
          <dt>{t("metrics.uptime")}</dt>
          <dd>{metrics.uptime === null ? "–" : since(metrics.uptime)}</dd>
        </div>
        <div>
          <dt>{t("metrics.load")}</dt>
          <dd>{metrics.load_average?.map((load) => number(load)).join("  ") ?? "–"}</dd>
        </div>
        <div>
          <dt>{t("metrics.terminals")}</dt>
          <dd>{metrics.active_connections}</dd>
        </div>
        <div>
          <dt>{t("metrics.measured")}</dt>
          <dd>{ago(metrics.timestamp)}</dd>
        </div>
      </dl>
    </>
  );
}

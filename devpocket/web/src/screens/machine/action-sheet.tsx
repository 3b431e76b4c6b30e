import { useAnswer } from "../../lib/answer";
import { usd } from "../../lib/format";
import { type Text, t } from "../../lib/i18n";
import { type Action, allows } from "../../lib/phases";
import { snapshotUsdPerMonth } from "../../lib/sizes";
import type { Environment, Size } from "../../lib/types";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Notice } from "../../ui/notice";
import { useAction } from "../use-action";

type Asked = Extract<Action, "start" | "stop" | "restart" | "recover" | "hibernate">;

/** What it keeps, and what it does besides. Source: docs/environments.md, "What is kept when". */
const KEEPS: Record<Asked, Text[]> = {
  start: ["does.start", "keeps.all"],
  stop: ["does.stop", "keeps.all"],
  restart: ["does.restart", "keeps.all"],
  recover: ["does.recover", "keeps.recover"],
  hibernate: ["does.hibernate", "keeps.hibernate"],
};

/** Says what an action does, keeps and costs before it is done. */
export function ActionSheet({ machine, action, onClose }: { machine: Environment; action: Asked; onClose(): void }) {
  const { act, busy, refusal } = useAction(machine);
  const size = useAnswer<Size[]>("/sizes").value?.find(({ slug }) => slug === machine.size);
  const isAllowed = allows(machine, action);
  const does = machine.hibernated && action === "start" ? (["does.wake", "keeps.wake"] as const) : KEEPS[action];
  return (
    <Dialog title={`${t(`action.${action}`)}: ${machine.name}`} onClose={onClose}>
      <ul class="effects">
        {does.map((text) => (
          <li key={text}>{t(text)}</li>
        ))}
        <li>{costOf(machine, action, size)}</li>
      </ul>
      {refusal}
      {!isAllowed && busy === null && !refusal && <Notice kind="warn">{t("machine.changedMeanwhile")}</Notice>}
      <div class="buttons">
        <Button
          kind={action === "stop" || action === "restart" ? "danger" : "main"}
          busy={busy !== null}
          disabled={!isAllowed}
          onClick={async () => {
            if (await act(action)) onClose();
          }}
        >
          {t(`action.${action}`)}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}

function costOf(machine: Environment, action: Asked, size: Size | undefined): string {
  const { usd_per_hour } = machine.billing;
  if (action === "hibernate" && size)
    return t("costs.hibernate", {
      now: usd(usd_per_hour),
      later: usd(Math.max(0, usd_per_hour - size.price_hourly)),
      copy: usd(snapshotUsdPerMonth(size.disk)),
    });
  if (machine.hibernated && size) return t("costs.wake", { more: usd(size.price_hourly) });
  return t(action === "stop" ? "costs.stop" : "costs.same", { now: usd(usd_per_hour) });
}

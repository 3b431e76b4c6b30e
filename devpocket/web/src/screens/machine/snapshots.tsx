import { useEffect, useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { ApiError, post, remove } from "../../lib/api";
import { say } from "../../lib/errors";
import { bytes, dateTime, usd } from "../../lib/format";
import { t } from "../../lib/i18n";
import { allows } from "../../lib/phases";
import { snapshotUsdPerMonth } from "../../lib/sizes";
import type { Environment, Snapshot } from "../../lib/types";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { TextField } from "../../ui/field";
import { useRequest } from "../../ui/form";
import { Notice, Spinner } from "../../ui/notice";
import { lookAgain, Refusal, useAction } from "../use-action";

const LOOK_AGAIN_MS = 5_000;

export function Snapshots({ machine }: { machine: Environment }) {
  const list = useAnswer<Snapshot[]>(`/environments/${machine.id}/snapshots?limit=200`, machine.updated_at);
  const [name, setName] = useState("");
  const [asked, setAsked] = useState<{ snapshot: Snapshot; to: "restore" | "delete" } | null>(null);
  const request = useRequest();
  const isPossible = allows(machine, "snapshot");
  const { value: snapshots, again } = list;
  useEffect(() => {
    // That one is there changes nothing of the machine, so that no news tell of it.
    if (!snapshots?.some(({ status }) => status === "pending")) {
      if (request.error instanceof ApiError && request.error.code === "snapshot_in_progress") request.forget();
      return;
    }
    const timer = setTimeout(again, LOOK_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [snapshots]);
  async function take(): Promise<void> {
    try {
      await post(`/environments/${machine.id}/snapshots`, name.trim() === "" ? {} : { name: name.trim() });
      setName("");
    } catch (refused) {
      lookAgain(machine.id, refused);
      throw refused;
    } finally {
      list.again();
    }
  }
  return (
    <section class="card">
      <h2>{t("machine.snapshots")}</h2>
      <p class="hint">{t("snapshots.what", { price: usd(snapshotUsdPerMonth(1)) })}</p>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void request.run(take);
        }}
      >
        <TextField
          label={t("snapshots.name")}
          hint={t("snapshots.nameHint")}
          autocomplete="off"
          maxLength={100}
          value={name}
          onText={setName}
          error={request.errors.name}
        />
        {request.error !== null && request.errors.name === undefined && <Refusal error={request.error} />}
        {!isPossible && <p>{t("snapshots.notNow")}</p>}
        <Button kind="main" icon="camera" type="submit" busy={request.busy} disabled={!isPossible}>
          {t("action.snapshot")}
        </Button>
      </form>
      {list.error !== null && (
        <Notice kind="bad">
          <p>{say(list.error)}</p>
          <Button icon="refresh" onClick={list.again}>
            {t("common.retry")}
          </Button>
        </Notice>
      )}
      {list.value === null && list.busy && <Spinner label={t("common.loading")} />}
      {list.value?.length === 0 && <p class="hint">{t("snapshots.none")}</p>}
      <ul class="entries">
        {list.value?.map((snapshot) => (
          <li key={snapshot.id}>
            <h3>{snapshot.name}</h3>
            <p class="hint">
              {t(`snapshots.${snapshot.status}`)} {dateTime(snapshot.created_at)}
              {snapshot.size_gb !== null &&
                ` · ${bytes(snapshot.size_gb * 2 ** 30)} · ${t("snapshots.cost", { month: usd(snapshotUsdPerMonth(snapshot.size_gb)) })}`}
            </p>
            <div class="buttons">
              {snapshot.status === "available" && (
                <Button icon="back" disabled={!isPossible} onClick={() => setAsked({ snapshot, to: "restore" })}>
                  {t("snapshots.restore")}
                  <span class="unseen"> {snapshot.name}</span>
                </Button>
              )}
              <Button kind="danger" icon="trash" onClick={() => setAsked({ snapshot, to: "delete" })}>
                {t("common.delete")}
                <span class="unseen"> {snapshot.name}</span>
              </Button>
            </div>
          </li>
        ))}
      </ul>
      {asked?.to === "restore" && (
        <RestoreSheet machine={machine} snapshot={asked.snapshot} onClose={() => setAsked(null)} />
      )}
      {asked?.to === "delete" && (
        <DropSheet
          machine={machine}
          snapshot={asked.snapshot}
          onClose={() => {
            setAsked(null);
            list.again();
          }}
        />
      )}
    </section>
  );
}

interface SheetProps {
  machine: Environment;
  snapshot: Snapshot;
  onClose(): void;
}

function RestoreSheet({ machine, snapshot, onClose }: SheetProps) {
  const { act, busy, refusal } = useAction(machine);
  return (
    <Dialog title={`${t("snapshots.restore")}: ${snapshot.name}`} onClose={onClose}>
      <ul class="effects">
        <li>{t("does.restore", { at: dateTime(snapshot.created_at) })}</li>
        <li>{t("keeps.restore")}</li>
        <li>{t("costs.same", { now: usd(machine.billing.usd_per_hour) })}</li>
      </ul>
      {refusal}
      <div class="buttons">
        <Button
          kind="danger"
          busy={busy !== null}
          disabled={!allows(machine, "snapshot")}
          onClick={async () => {
            if (await act(`snapshots/${snapshot.id}/restore`)) onClose();
          }}
        >
          {t("snapshots.restore")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}

function DropSheet({ machine, snapshot, onClose }: SheetProps) {
  const request = useRequest();
  return (
    <Dialog title={`${t("common.delete")}: ${snapshot.name}`} onClose={onClose}>
      <p>{t("snapshots.deleteLong")}</p>
      {request.error !== null && <Refusal error={request.error} />}
      <div class="buttons">
        <Button
          kind="danger"
          icon="trash"
          busy={request.busy}
          onClick={() =>
            request.run(async () => {
              await remove(`/environments/${machine.id}/snapshots/${snapshot.id}`);
              onClose();
            })
          }
        >
          {t("common.delete")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}

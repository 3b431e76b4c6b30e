import { useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { say } from "../../lib/errors";
import { usd } from "../../lib/format";
import { t } from "../../lib/i18n";
import { allows } from "../../lib/phases";
import { whyNot } from "../../lib/sizes";
import type { Environment, Region, Size } from "../../lib/types";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { CheckField } from "../../ui/field";
import { Notice, Spinner } from "../../ui/notice";
import { SizeChoice } from "../new-machine-parts";
import { useAction } from "../use-action";

export function ResizeSheet({ machine, onClose }: { machine: Environment; onClose(): void }) {
  const { act, busy, refusal } = useAction(machine);
  const sizes = useAnswer<Size[]>("/sizes");
  const regions = useAnswer<Region[]>("/regions");
  const [picked, setPicked] = useState<Size | null>(null);
  const [isDiskGrown, setDiskGrown] = useState(false);
  const region = regions.value?.find(({ slug }) => slug === machine.region) ?? null;
  const present = sizes.value?.find(({ slug }) => slug === machine.size);
  const failed = [sizes, regions].find(({ value, error }) => value === null && error !== null);
  return (
    <Dialog title={`${t("action.resize")}: ${machine.name}`} onClose={onClose}>
      <ul class="effects">
        <li>{t("does.resize")}</li>
        <li>{t("keeps.all")}</li>
      </ul>
      {failed ? (
        <Notice kind="bad">
          <p>{say(failed.error)}</p>
          <Button icon="refresh" onClick={failed.again}>
            {t("common.retry")}
          </Button>
        </Notice>
      ) : (
        !(sizes.value && regions.value) && <Spinner label={t("common.loading")} />
      )}
      {regions.value && (
        <fieldset class="choices">
          <legend>{t("new.size")}</legend>
          <div class="rows">
            {sizes.value?.map((size) => (
              <SizeChoice
                key={size.slug}
                size={size}
                why={
                  size.slug === machine.size
                    ? "sizes.present"
                    : present && size.disk < present.disk
                      ? "sizes.smallerDisk"
                      : whyNot(size, region)
                }
                checked={picked?.slug === size.slug}
                onPick={() => setPicked(size)}
              />
            ))}
          </div>
        </fieldset>
      )}
      {!machine.hibernated && (
        <CheckField
          label={t("machine.growDisk")}
          hint={t("machine.growDiskHint")}
          checked={isDiskGrown}
          onCheck={setDiskGrown}
        />
      )}
      {picked && present && (
        <p>
          {t("costs.resize", {
            more: usd(picked.price_hourly - present.price_hourly),
            month: usd(picked.price_monthly - present.price_monthly),
          })}
        </p>
      )}
      {refusal}
      <div class="buttons">
        <Button
          kind="main"
          busy={busy !== null}
          disabled={picked === null || !allows(machine, "resize")}
          onClick={async () => {
            if (await act("resize", { size: picked?.slug, permanent_disk_resize: isDiskGrown })) onClose();
          }}
        >
          {t("action.resize")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </Dialog>
  );
}

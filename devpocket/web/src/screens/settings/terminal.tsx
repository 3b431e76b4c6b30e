import { useState } from "preact/hooks";
import { patch } from "../../lib/api";
import { say } from "../../lib/errors";
import { t } from "../../lib/i18n";
import { FONT_PX, fontPx, screenReader } from "../../lib/prefs";
import { updateUser, user } from "../../lib/session";
import type { User } from "../../lib/types";
import { KeyBarEditor } from "../../terminal/key-bar-editor";
import { IconButton } from "../../ui/button";
import { CheckField } from "../../ui/field";
import { useRequest } from "../../ui/form";
import { Notice } from "../../ui/notice";

export function Terminal() {
  const request = useRequest();
  const [wanted, setWanted] = useState<boolean | null>(null); // while it is being saved
  const record = async (isOn: boolean) => {
    setWanted(isOn);
    await request.run(async () => updateUser(await patch<User>("/users/me", { record_terminals: isOn })));
    setWanted(null);
  };
  return (
    <>
      <section class="card">
        <FontSize />
        <CheckField
          label={t("settings.screenReader")}
          hint={t("settings.screenReaderHint")}
          checked={screenReader.value}
          onCheck={(isOn) => {
            screenReader.value = isOn;
          }}
        />
      </section>
      <section class="card">
        {request.error !== null && <Notice kind="bad">{say(request.error)}</Notice>}
        <CheckField
          label={t("settings.record")}
          hint={t("settings.recordHint")}
          checked={wanted ?? user.value?.record_terminals ?? false}
          onCheck={record}
        />
      </section>
      <section class="card">
        <KeyBarEditor />
      </section>
    </>
  );
}

function FontSize() {
  const px = fontPx.value;
  const set = (wanted: number) => {
    fontPx.value = Math.min(FONT_PX.max, Math.max(FONT_PX.min, wanted));
  };
  return (
    <fieldset class="font-size">
      <legend>{t("settings.fontSize")}</legend>
      <IconButton
        icon="minus"
        label={t("settings.smaller")}
        kind="plain"
        disabled={px <= FONT_PX.min}
        onClick={() => set(px - 1)}
      />
      <output>{t("settings.px", { count: px })}</output>
      <IconButton
        icon="plus"
        label={t("settings.larger")}
        kind="plain"
        disabled={px >= FONT_PX.max}
        onClick={() => set(px + 1)}
      />
      <pre class="sample" style={{ fontSize: `${px}px` }} aria-hidden="true">
        dev@box:~$ ls -l | head
      </pre>
    </fieldset>
  );
}

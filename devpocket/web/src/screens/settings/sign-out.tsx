import { useState } from "preact/hooks";
import { say } from "../../lib/errors";
import { t } from "../../lib/i18n";
import { signOut } from "../../lib/session";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { useRequest } from "../../ui/form";
import { Notice } from "../../ui/notice";

export function SignOut() {
  const [isAsked, setAsked] = useState(false);
  const request = useRequest();
  return (
    <div class="sign-out">
      {request.error !== null && !isAsked && <Notice kind="bad">{say(request.error)}</Notice>}
      <Button busy={request.busy} onClick={() => request.run(() => signOut())}>
        {t("common.signOut")}
      </Button>
      <Button kind="quiet" onClick={() => setAsked(true)}>
        {t("settings.signOutEverywhere")}
      </Button>
      {isAsked && (
        <Dialog title={t("settings.signOutEverywhere")} onClose={() => setAsked(false)}>
          {request.error !== null && <Notice kind="bad">{say(request.error)}</Notice>}
          <p>{t("settings.signOutEverywhereLong")}</p>
          <Button kind="danger" busy={request.busy} onClick={() => request.run(() => signOut(true))}>
            {t("settings.signOutEverywhere")}
          </Button>
          <Button onClick={() => setAsked(false)}>{t("common.cancel")}</Button>
        </Dialog>
      )}
    </div>
  );
}

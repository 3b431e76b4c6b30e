import { useState } from "preact/hooks";
import { useAnswer } from "../../lib/answer";
import { ApiError, remove } from "../../lib/api";
import { say } from "../../lib/errors";
import { dateTime } from "../../lib/format";
import { t } from "../../lib/i18n";
import { closed, signInAgain, user } from "../../lib/session";
import type { User, UserStats } from "../../lib/types";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { CheckField, PasswordField } from "../../ui/field";
import { Form, useRequest } from "../../ui/form";
import { Notice } from "../../ui/notice";

/** What the user has and may have, and the way out. */
export function Account() {
  return user.value && <AccountOf who={user.value} />;
}

function AccountOf({ who }: { who: User }) {
  const stats = useAnswer<UserStats>("/users/me/stats");
  const [isClosing, setClosing] = useState(false);
  const limits = stats.value?.limits;
  return (
    <>
      <section class="card">
        <dl class="facts">
          <dt>{t("settings.plan")}</dt>
          <dd>{t(`settings.plan.${who.subscription_plan}`)}</dd>
          {limits && (
            <>
              <dt>{t("settings.machines")}</dt>
              <dd>
                {limits.max_environments === null
                  ? t("settings.machinesUnlimited", { used: limits.used })
                  : t("settings.machinesOf", { used: limits.used, max: limits.max_environments })}
              </dd>
            </>
          )}
          {stats.value && (
            <>
              <dt>{t("settings.signIns")}</dt>
              <dd>{stats.value.active_tokens}</dd>
            </>
          )}
          <dt>{t("settings.memberSince")}</dt>
          <dd>{dateTime(who.created_at)}</dd>
        </dl>
        {stats.error !== null && (
          <>
            <Notice kind="bad">{say(stats.error)}</Notice>
            <Button onClick={stats.again}>{t("common.retry")}</Button>
          </>
        )}
      </section>
      <section class="card">
        <h2>{t("settings.close")}</h2>
        <p>{t("settings.closeLong")}</p>
        <Button kind="danger" onClick={() => setClosing(true)}>
          {t("settings.close")}
        </Button>
      </section>
      {isClosing && <CloseAccount onClose={() => setClosing(false)} />}
    </>
  );
}

/** With the password, or, where there is none, soon after a sign-in. */
async function closeAccount(password: string | null): Promise<void> {
  const proof = password === null ? undefined : { password };
  try {
    await remove("/users/me", proof);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === "reauthentication_required")) throw error;
    if (!(await signInAgain())) return;
    await remove("/users/me", proof);
  }
  closed();
}

function CloseAccount({ onClose }: { onClose(): void }) {
  const [password, setPassword] = useState("");
  const [hasNone, setNone] = useState(false);
  const [isTried, setTried] = useState(false);
  const request = useRequest();
  const isMissing = password === "" && !hasNone;
  return (
    <Dialog title={t("settings.closeTitle")} onClose={onClose}>
      <p>{t("settings.closeGone")}</p>
      <ul>
        <li>{t("settings.closeGone.machines")}</li>
        <li>{t("settings.closeGone.keys")}</li>
        <li>{t("settings.closeGone.you")}</li>
      </ul>
      <p>{t("settings.closeFinal")}</p>
      <Form
        request={request}
        fields={["password"]}
        invalid={isMissing ? ["password"] : []}
        onRefused={() => setTried(true)}
        onSubmit={() => closeAccount(hasNone ? null : password)}
      >
        {!hasNone && (
          <PasswordField
            label={t("account.password")}
            name="password"
            autocomplete="current-password"
            required
            value={password}
            onText={setPassword}
            error={(isTried && isMissing ? t("field.required") : undefined) ?? request.errors.password}
          />
        )}
        <CheckField
          label={t("settings.closeNoPassword")}
          hint={t("settings.closeNoPasswordHint")}
          checked={hasNone}
          onCheck={setNone}
        />
        <Button kind="danger" type="submit" busy={request.busy}>
          {t("settings.closeNow")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </Form>
    </Dialog>
  );
}

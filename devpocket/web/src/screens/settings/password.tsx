import { useState } from "preact/hooks";
import { t } from "../../lib/i18n";
import { changePassword, user } from "../../lib/session";
import { Button } from "../../ui/button";
import { PasswordField } from "../../ui/field";
import { Form, useRequest } from "../../ui/form";
import { toast } from "../../ui/toast";
import { NewPasswordField, passwordProblem } from "../new-password";

export function Password() {
  const [current, setCurrent] = useState("");
  const [wanted, setWanted] = useState("");
  const [isTried, setTried] = useState(false);
  const request = useRequest();
  const who = { username: user.value?.username ?? "", email: user.value?.email ?? "" };
  const wrong = {
    current_password: current === "" ? t("field.required") : undefined,
    new_password: passwordProblem(wanted, who),
  };
  return (
    <section class="card">
      <p class="hint">{t("settings.passwordLong")}</p>
      <Form
        request={request}
        fields={["current_password", "new_password"]}
        invalid={Object.entries(wrong).flatMap(([name, text]) => (text ? [name] : []))}
        onRefused={() => setTried(true)}
        onSubmit={async () => {
          await changePassword(current, wanted);
          setCurrent("");
          setWanted("");
          setTried(false);
          toast(t("settings.passwordChanged"));
        }}
      >
        <input
          class="unseen"
          type="text"
          autocomplete="username"
          value={who.username}
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        <PasswordField
          label={t("settings.currentPassword")}
          name="current-password"
          autocomplete="current-password"
          required
          value={current}
          onText={setCurrent}
          error={(isTried ? wrong.current_password : undefined) ?? request.errors.current_password}
        />
        <NewPasswordField
          label={t("account.newPassword")}
          value={wanted}
          onText={setWanted}
          error={(isTried ? wrong.new_password : undefined) ?? request.errors.new_password}
          who={who}
        />
        <Button kind="main" type="submit" busy={request.busy}>
          {t("settings.changePassword")}
        </Button>
      </Form>
      <p class="hint">{t("settings.noPassword")}</p>
    </section>
  );
}

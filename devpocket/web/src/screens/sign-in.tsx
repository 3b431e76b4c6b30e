import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { t } from "../lib/i18n";
import { signIn, state } from "../lib/session";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { Form, useRequest } from "../ui/form";
import { Notice } from "../ui/notice";
import { CardPage } from "../ui/page";

/** Signing in leads on by itself: the app shows what somebody who is signed in sees at this address. */
export function SignIn() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const request = useRequest();
  const now = state.value;
  const because = now.kind === "out" ? now.because : "never";
  return (
    <CardPage title={t("account.signIn")}>
      {(because === "ended" || because === "elsewhere") && <Notice kind="warn">{t(`account.${because}`)}</Notice>}
      <Form request={request} fields={["username_or_email", "password"]} onSubmit={() => signIn(name, password)}>
        <TextField
          label={t("account.nameOrEmail")}
          name="username"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          value={name}
          onText={setName}
          error={request.errors.username_or_email}
        />
        <TextField
          label={t("account.password")}
          name="password"
          type="password"
          autocomplete="current-password"
          value={password}
          onText={setPassword}
          error={request.errors.password}
        />
        <Button kind="main" type="submit" busy={request.busy}>
          {t("account.signIn")}
        </Button>
      </Form>
      <nav class="links">
        <Link href="/forgot">{t("account.forgot")}</Link>
        <Link href="/sign-up">{t("account.signUp")}</Link>
      </nav>
    </CardPage>
  );
}

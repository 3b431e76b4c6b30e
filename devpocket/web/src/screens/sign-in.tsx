import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { t } from "../lib/i18n";
import { withNext } from "../lib/next";
import { signIn, state } from "../lib/session";
import { Button } from "../ui/button";
import { PasswordField, TextField } from "../ui/field";
import { Form, useRequest } from "../ui/form";
import { Notice } from "../ui/notice";
import { CardPage } from "../ui/page";
import { GoogleLink } from "./google-link";
import { useNext } from "./use-next";

/** Signing in leads on by itself: the app shows what somebody who is signed in sees at this address. */
export function SignIn() {
  const next = useNext();
  const now = state.value;
  const because = now.kind === "out" ? now.because : "never";
  return (
    <CardPage title={t("account.signIn")}>
      {because !== "never" && (
        <Notice kind={because === "elsewhere" ? "warn" : "good"}>{t(`account.out.${because}`)}</Notice>
      )}
      <SignInForm />
      <GoogleLink href={withNext("/google", next)} />
      <nav class="links" aria-label={t("account.otherWays")}>
        <Link href={withNext("/forgot", next)}>{t("account.forgot")}</Link>
        <Link href={withNext("/sign-up", next)}>{t("account.signUp")}</Link>
      </nav>
    </CardPage>
  );
}

/** `who`: somebody who has been here before, and whose name therefore is in the field. */
export function SignInForm({ who = "" }: { who?: string }) {
  const [name, setName] = useState(who);
  const [password, setPassword] = useState("");
  const request = useRequest();
  return (
    <Form request={request} fields={["username_or_email", "password"]} onSubmit={() => signIn(name.trim(), password)}>
      <TextField
        label={t("account.nameOrEmail")}
        name="username"
        autocomplete="username"
        autocapitalize="none"
        spellcheck={false}
        required
        value={name}
        onText={setName}
        error={request.errors.username_or_email}
      />
      <PasswordField
        label={t("account.password")}
        name="password"
        autocomplete="current-password"
        autofocus={who !== ""}
        required
        value={password}
        onText={setPassword}
        error={request.errors.password}
      />
      <Button kind="main" type="submit" busy={request.busy}>
        {t("account.signIn")}
      </Button>
    </Form>
  );
}

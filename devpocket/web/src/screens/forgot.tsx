import { useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { ask } from "../lib/api";
import { fieldText } from "../lib/errors";
import { t } from "../lib/i18n";
import { withNext } from "../lib/next";
import { isEmail } from "../lib/password";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { Form, useRequest } from "../ui/form";
import { Notice } from "../ui/notice";
import { CardPage } from "../ui/page";
import { toast } from "../ui/toast";
import { CodeField, isCode } from "./code-field";
import { NewPasswordField, passwordProblem } from "./new-password";
import { useNext } from "./use-next";

/** A forgotten password: first a mail, then its digits and a new one, on the same page. */
export function Forgot() {
  const next = useNext();
  const [email, setEmail] = useState("");
  const [sentTo, setSentTo] = useState<string | null>(null);
  return (
    <CardPage title={t("account.forgotTitle")}>
      {sentTo === null ? (
        <AskForMail email={email} onText={setEmail} onSent={() => setSentTo(email.trim())} />
      ) : (
        <SetPassword email={sentTo} onAgain={() => setSentTo(null)} />
      )}
      <nav class="links" aria-label={t("account.otherWays")}>
        <Link href={withNext("/sign-in", next)}>{t("account.backToSignIn")}</Link>
      </nav>
    </CardPage>
  );
}

function AskForMail({ email, onText, onSent }: { email: string; onText(text: string): void; onSent(): void }) {
  const [isRefused, setRefused] = useState(false);
  const request = useRequest();
  const isWrong = !isEmail(email.trim());
  const ours = isRefused && isWrong ? fieldText("email", email.trim() === "" ? "required" : "invalid") : null;
  return (
    <Form
      request={request}
      fields={["email"]}
      invalid={isWrong ? ["email"] : []}
      onRefused={() => setRefused(true)}
      onSubmit={async () => {
        await ask("POST", "/auth/forgot-password", { email: email.trim() });
        onSent();
      }}
    >
      <p>{t("account.forgotLong")}</p>
      <TextField
        label={t("account.email")}
        type="email"
        name="email"
        autocomplete="email"
        required
        value={email}
        onText={onText}
        error={ours ?? request.errors.email}
      />
      <Button kind="main" type="submit" busy={request.busy}>
        {t("account.sendCode")}
      </Button>
    </Form>
  );
}

function SetPassword({ email, onAgain }: { email: string; onAgain(): void }) {
  const [, navigate] = useLocation();
  const next = useNext();
  const [code, setCode] = useState("");
  const [password, setPassword] = useState("");
  const [isTried, setTried] = useState(false);
  const request = useRequest();
  const wrong = {
    token: isCode(code) ? undefined : t("account.codeIncomplete"),
    new_password: passwordProblem(password, { email }),
  };
  return (
    <Form
      request={request}
      fields={["token", "new_password"]}
      invalid={Object.entries(wrong).flatMap(([name, text]) => (text ? [name] : []))}
      onRefused={() => setTried(true)}
      onSubmit={async () => {
        await ask("POST", "/auth/reset-password", { token: code, email, new_password: password });
        toast(t("account.passwordSet"));
        navigate(withNext("/sign-in", next), { replace: true });
      }}
    >
      <Notice>{t("account.forgotSent", { email })}</Notice>
      {/* Not to be typed in: it tells password managers whose password this is. */}
      <input
        class="unseen"
        type="text"
        autocomplete="username"
        value={email}
        readOnly
        tabIndex={-1}
        aria-hidden="true"
      />
      <CodeField value={code} onText={setCode} error={(isTried ? wrong.token : undefined) ?? request.errors.token} />
      <NewPasswordField
        label={t("account.newPassword")}
        value={password}
        onText={setPassword}
        error={(isTried ? wrong.new_password : undefined) ?? request.errors.new_password}
        who={{ email }}
      />
      <Button kind="main" type="submit" busy={request.busy}>
        {t("account.setPassword")}
      </Button>
      <Button onClick={onAgain}>{t("account.otherAddress")}</Button>
    </Form>
  );
}

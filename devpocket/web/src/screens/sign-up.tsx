import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { fieldText } from "../lib/errors";
import { t } from "../lib/i18n";
import { withNext } from "../lib/next";
import { isEmail, usernameProblem } from "../lib/password";
import { signUp } from "../lib/session";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { Form, useRequest } from "../ui/form";
import { CardPage } from "../ui/page";
import { GoogleLink } from "./google-link";
import { NewPasswordField, passwordProblem } from "./new-password";
import { useNext } from "./use-next";

const FIELDS = ["username", "email", "password"] as const;
type Field = (typeof FIELDS)[number];

/** What is wrong with each field as it is; undefined: nothing that can be known here. */
function problems({ username, email, password }: Record<Field, string>): Record<Field, string | undefined> {
  const ofName = usernameProblem(username);
  const ofEmail = email === "" ? "required" : isEmail(email) ? null : "invalid";
  return {
    username: (ofName && fieldText("username", ofName)) ?? undefined,
    email: (ofEmail && fieldText("email", ofEmail)) ?? undefined,
    password: passwordProblem(password, { username, email }),
  };
}

/** Afterwards the app leads on to the code that is in the mail. */
export function SignUp() {
  const next = useNext();
  const [values, setValues] = useState<Record<Field, string>>({ username: "", email: "", password: "" });
  const [isLeft, setLeft] = useState<Record<Field, boolean>>({ username: false, email: false, password: false });
  const [sent, setSent] = useState(values); // what the server's refusals are about
  const request = useRequest();
  const trimmed = { ...values, username: values.username.trim(), email: values.email.trim() };
  const wrong = problems(trimmed);

  /** The server's word on what it was sent; else ours, once the field was left (nobody is told off for half a word). */
  function field(name: Field) {
    const theirs = sent[name] === trimmed[name] ? request.errors[name] : undefined;
    return {
      value: values[name],
      onText: (value: string) => setValues({ ...values, [name]: value }),
      onBlur: () => values[name] !== "" && setLeft({ ...isLeft, [name]: true }),
      error: theirs ?? (isLeft[name] ? wrong[name] : undefined),
    };
  }

  return (
    <CardPage title={t("account.signUp")}>
      <Form
        request={request}
        fields={FIELDS}
        invalid={FIELDS.filter((name) => wrong[name] !== undefined)}
        onRefused={() => setLeft({ username: true, email: true, password: true })}
        onSubmit={() => {
          setSent(trimmed);
          return signUp(trimmed);
        }}
      >
        <TextField
          {...field("username")}
          label={t("account.username")}
          hint={t("account.usernameHint")}
          name="username"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          required
        />
        <TextField
          {...field("email")}
          label={t("account.email")}
          type="email"
          name="email"
          autocomplete="email"
          required
        />
        <NewPasswordField {...field("password")} label={t("account.password")} who={trimmed} />
        <Button kind="main" type="submit" busy={request.busy}>
          {t("account.signUp")}
        </Button>
      </Form>
      <GoogleLink href={withNext("/google", next)} />
      <nav class="links" aria-label={t("account.otherWays")}>
        <Link href={withNext("/sign-in", next)}>{t("account.haveAccount")}</Link>
      </nav>
    </CardPage>
  );
}

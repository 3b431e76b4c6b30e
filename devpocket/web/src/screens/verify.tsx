import { useEffect, useState } from "preact/hooks";
import { Link, Redirect } from "wouter-preact";
import { ApiError, get, post } from "../lib/api";
import { t } from "../lib/i18n";
import { updateUser, user } from "../lib/session";
import type { User } from "../lib/types";
import { Button } from "../ui/button";
import { useSecondsUntil } from "../ui/countdown";
import { Form, useRequest } from "../ui/form";
import { Notice } from "../ui/notice";
import { CardPage } from "../ui/page";
import { toast } from "../ui/toast";
import { CodeField, isCode } from "./code-field";
import { useNext } from "./use-next";

const RESEND_EVERY_MS = 60_000; // contract 3.5

/** Show that the address is one's own, by the digits in the mail. The mail's link does as well, wherever it is opened. */
export function Verify() {
  const next = useNext();
  const who = user.value;
  useReadAnew();
  if (who === null || who.is_verified) return <Redirect to={next} replace />;
  return (
    <CardPage title={t("account.verify")}>
      <p>{t("account.verifyLong", { email: who.email })}</p>
      <CodeForm />
      <Resend sentAt={Date.parse(who.created_at)} />
      <nav class="links" aria-label={t("account.otherWays")}>
        <Link href={next}>{t("account.skip")}</Link>
      </nav>
    </CardPage>
  );
}

function CodeForm() {
  const [code, setCode] = useState("");
  const [tried, setTried] = useState<string | null>(null);
  const request = useRequest();
  const verify = async () => {
    setTried(code);
    const { user: verified } = await post<{ user: User }>("/auth/verify-email", { token: code });
    toast(t("account.verified"));
    updateUser(verified);
  };
  useEffect(() => {
    if (isCode(code) && code !== tried) void request.run(verify); // typed or filled in to the end: nothing is left to do
  }, [code]);
  return (
    <Form
      request={request}
      fields={["token"]}
      invalid={isCode(code) ? [] : ["token"]}
      onRefused={() => setTried(code)}
      onSubmit={verify}
    >
      <CodeField
        value={code}
        onText={setCode}
        error={tried !== code ? undefined : isCode(code) ? request.errors.token : t("account.codeIncomplete")}
      />
      <Button kind="main" type="submit" busy={request.busy}>
        {t("account.verifyNow")}
      </Button>
    </Form>
  );
}

/** The account is new: the mail that came with it is the first, and the next may be asked for a minute later. */
function Resend({ sentAt }: { sentAt: number }) {
  const [freeAt, setFreeAt] = useState(Math.min(sentAt, Date.now()) + RESEND_EVERY_MS);
  const [isSent, setSent] = useState(false);
  const seconds = useSecondsUntil(freeAt);
  const request = useRequest();
  const resend = async () => {
    setSent(false);
    try {
      const { already_verified } = await post<{ already_verified: boolean }>("/auth/resend-verification");
      if (already_verified) return updateUser(await get<User>("/auth/me"));
      setFreeAt(Date.now() + RESEND_EVERY_MS);
      setSent(true);
    } catch (error) {
      if (error instanceof ApiError && error.retryAfterS !== null) setFreeAt(error.at + error.retryAfterS * 1000);
      throw error;
    }
  };
  return (
    <Form request={request} fields={[]} onSubmit={resend}>
      {isSent && <Notice kind="good">{t("account.resent")}</Notice>}
      <Button type="submit" busy={request.busy} disabled={seconds > 0}>
        {seconds > 0 ? t("account.resendIn", { seconds }) : t("account.resend")}
      </Button>
    </Form>
  );
}

/** Whoever comes back from their mails may have opened the link there. */
function useReadAnew(): void {
  useEffect(() => {
    const read = () => {
      if (document.visibilityState !== "visible" || user.value === null) return;
      get<User>("/auth/me").then(updateUser, () => undefined); // the code does as well
    };
    document.addEventListener("visibilitychange", read);
    return () => document.removeEventListener("visibilitychange", read);
  }, []);
}

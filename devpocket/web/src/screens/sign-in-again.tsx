import { t } from "../lib/i18n";
import { state, stayAway } from "../lib/session";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { GoogleLink } from "./google-link";
import { SignInForm } from "./sign-in";

/**
 * Over whatever the user was doing, which stays as it is below: the sign-in has ended, or something needs a fresh one.
 * Signing in in another tab, with Google for one, is noticed and ends it.
 */
export function SignInAgain() {
  const now = state.value;
  if (now.kind !== "in" || now.again === null) return null;
  const hasEnded = now.again === "ended";
  return (
    <Dialog
      title={t(hasEnded ? "account.again.ended" : "account.again.fresh")}
      {...(hasEnded ? {} : { onClose: stayAway })}
    >
      <p>{t(hasEnded ? "account.again.endedLong" : "account.again.freshLong")}</p>
      <SignInForm who={now.user.username} />
      <GoogleLink href="/google?again=1" newTab />
      <Button onClick={stayAway}>{t(hasEnded ? "common.signOut" : "common.cancel")}</Button>
    </Dialog>
  );
}

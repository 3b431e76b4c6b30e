import { useEffect } from "preact/hooks";
import { t } from "../lib/i18n";
import { info, readInfo } from "../lib/info";

/** The way to Google, where the service has one. `newTab`: what is on this page is to stay. */
export function GoogleLink({ href, newTab = false }: { href: string; newTab?: boolean }) {
  useEffect(() => {
    readInfo().catch(() => undefined); // a password does as well
  }, []);
  if (!info.value?.google_web_client_id) return null;
  return (
    <a class="button" href={href} {...(newTab ? { target: "_blank", rel: "noopener" } : {})}>
      {t("account.google")}
      {newTab && <span class="unseen"> ({t("common.newTab")})</span>}
    </a>
  );
}

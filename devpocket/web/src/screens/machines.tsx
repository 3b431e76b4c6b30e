import { say } from "../lib/errors";
import { t } from "../lib/i18n";
import { machines, news } from "../lib/machines";
import { Notice, Spinner } from "../ui/notice";
import { Page } from "../ui/page";

/** All machines of the user, as they are now. */
export function Machines() {
  const all = machines.value;
  const link = news.value;
  return (
    <Page title={t("machines.title")}>
      {link?.kind === "ended" && <Notice kind="bad">{link.message || say(null)}</Notice>}
      {all === null && link?.kind !== "ended" && <Spinner label={t("common.loading")} />}
      {all?.map((machine) => (
        <section key={machine.id} class="card">
          <h2>{machine.name}</h2>
        </section>
      ))}
    </Page>
  );
}

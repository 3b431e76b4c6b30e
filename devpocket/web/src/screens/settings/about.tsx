import { useEffect, useState } from "preact/hooks";
import { say } from "../../lib/errors";
import { t } from "../../lib/i18n";
import { info, readInfo } from "../../lib/info";
import { Notice, Spinner } from "../../ui/notice";

export function About() {
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    readInfo().catch(setError);
  }, []);
  const now = info.value;
  return (
    <section class="card">
      <p>{t("settings.aboutLong")}</p>
      {now === null && error !== null && <Notice kind="bad">{say(error)}</Notice>}
      {now === null && error === null && <Spinner label={t("common.loading")} />}
      {now !== null && (
        <dl class="facts">
          <dt>{t("settings.version")}</dt>
          <dd>
            {now.name} {now.version}
          </dd>
        </dl>
      )}
    </section>
  );
}

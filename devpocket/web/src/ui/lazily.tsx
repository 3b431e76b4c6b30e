import type { ComponentType, FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { Button } from "./button";
import { Notice, Spinner } from "./notice";

/** A screen that is fetched when it is first shown. Without a network it says so, and tries again when it is told to. */
export function lazily<Props extends object>(load: () => Promise<ComponentType<Props>>): FunctionComponent<Props> {
  let Loaded: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [, shown] = useState<unknown>(null);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (Loaded !== null || failed) return;
      load().then(
        (component) => {
          Loaded = component;
          shown({});
        },
        () => setFailed(true),
      );
    }, [failed]);
    if (Loaded !== null) return <Loaded {...props} />;
    if (!failed) return <Spinner label={t("common.loading")} />;
    return (
      <main id="main">
        <Notice kind="bad">{t("error.offline")}</Notice>
        {/* A new version may have replaced the file: the whole page anew, not the file. */}
        <Button onClick={() => location.reload()}>{t("common.retry")}</Button>
      </main>
    );
  };
}

import { untracked } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { t } from "../lib/i18n";
import { Notice } from "../ui/notice";
import { CardPage, useTitle } from "../ui/page";
import { Again, HasEnded } from "./covers";
import { Frame } from "./frame";
import { Pane } from "./pane";

const LINK = /^#?([0-9a-f-]{36})\.([A-Za-z0-9_-]{1,200})$/;
const KEPT = "devpocket.guest-link";

interface GuestLink {
  environmentId: string;
  token: string;
}

/**
 * The link's secret, taken out of the address bar, where it would be seen over a shoulder and in shared screens. A reload
 * finds it in the tab's own storage; where there is none it stays in the address.
 */
function takeLink(): GuestLink | null {
  let [, environmentId, token] = LINK.exec(location.hash) ?? [];
  try {
    if (token) {
      sessionStorage.setItem(KEPT, location.hash);
      history.replaceState(history.state, "", "/t");
    } else [, environmentId, token] = LINK.exec(sessionStorage.getItem(KEPT) ?? "") ?? [];
  } catch {
    // Forbidden: nothing was taken out of the address.
  }
  return environmentId && token ? { environmentId, token } : null;
}

/** What somebody sees who was given a link: the terminal, and nothing of the app around it. */
export function GuestScreen() {
  const [link, setLink] = useState(takeLink);
  useEffect(() => {
    const follow = () => setLink((before) => takeLink() ?? before); // another link, pasted into the same tab
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  if (link === null)
    return (
      <CardPage title={t("terminal.guest.title")}>
        <Notice kind="bad">{t("terminal.guest.bad")}</Notice>
      </CardPage>
    );
  return <GuestTerminal key={link.token} link={link} />;
}

function GuestTerminal({ link }: { link: GuestLink }) {
  const pane = useMemo(
    () =>
      untracked(
        () =>
          new Pane({
            environmentId: link.environmentId,
            session: null,
            isGuest: true,
            enter: async () => ({ protocols: ["share", link.token] }),
          }),
      ),
    [link],
  );
  useEffect(() => () => pane.close(), [pane]);
  const name = pane.stream.machine.value?.name ?? "";
  useTitle(name || t("terminal.guest.title"));
  const ended = pane.stream.ended.value;
  const isOver =
    ended !== null && ["share_ended", "authentication_failed", "environment_not_found"].includes(ended.why);
  return (
    <Frame
      pane={pane}
      header={<h1 class="guest-title">{name}</h1>}
      cover={
        ended && (
          <HasEnded ended={isOver ? { ...ended, why: "share_ended" } : ended}>
            {!isOver && <Again pane={pane} />}
          </HasEnded>
        )
      }
    />
  );
}

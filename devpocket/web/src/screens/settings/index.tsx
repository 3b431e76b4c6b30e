import "../../styles/settings.css";
import type { FunctionComponent } from "preact";
import { Link, Redirect } from "wouter-preact";
import { t } from "../../lib/i18n";
import { Page } from "../../ui/page";
import { About } from "./about";
import { Account } from "./account";
import { Appearance } from "./appearance";
import { Keys } from "./keys";
import { Password } from "./password";
import { Profile } from "./profile";
import { Sessions } from "./sessions";
import { SignOut } from "./sign-out";
import { Terminal } from "./terminal";

const PAGES = {
  profile: Profile,
  password: Password,
  sessions: Sessions,
  keys: Keys,
  terminal: Terminal,
  appearance: Appearance,
  account: Account,
  about: About,
} satisfies Record<string, FunctionComponent>;
type Name = keyof typeof PAGES;

/** On a phone the list or one of its pages; where there is room, both. */
export function Settings({ page }: { page?: string | undefined }) {
  if (page !== undefined && !(page in PAGES)) return <Redirect to="/settings" replace />;
  const name = (page ?? "profile") as Name;
  const Shown = PAGES[name];
  return (
    <Page
      key={page ?? ""}
      title={page === undefined ? t("settings.title") : t(`settings.page.${name}`)}
      back={page ? "/settings" : "/"}
    >
      <div class={page === undefined ? "settings at-list" : "settings at-page"}>
        <nav aria-label={t("settings.title")}>
          <ul>
            {(Object.keys(PAGES) as Name[]).map((one) => (
              <li key={one}>
                <Link
                  href={`/settings/${one}`}
                  class={one === name ? "chosen" : ""}
                  {...(one === page ? { "aria-current": "page" } : {})}
                >
                  {t(`settings.page.${one}`)}
                </Link>
              </li>
            ))}
          </ul>
          <SignOut />
        </nav>
        <div class="settings-page">
          {page === undefined && <h2>{t(`settings.page.${name}`)}</h2>}
          <Shown key={name} />
        </div>
      </div>
    </Page>
  );
}

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Link } from "wouter-preact";
import { LANGUAGES, type Language, language, t } from "../lib/i18n";
import { user } from "../lib/session";
import { Icon } from "./icon";

interface Props {
  title: string;
  /** Where "back" leads; without it the page is one of the main ones. */
  back?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

let isFirst = true;

/**
 * Title the document, and tell a screen reader that this is another page: its heading gets the focus when what had it
 * (a link, mostly) is gone. Not at the first page, of which the browser tells itself.
 */
function useHeading(title: string) {
  const heading = useRef<HTMLHeadingElement>(null);
  useTitle(title);
  useEffect(() => {
    if (isFirst) {
      isFirst = false;
      return;
    }
    window.scrollTo(0, 0);
    if (document.activeElement === null || document.activeElement === document.body) heading.current?.focus();
  }, []);
  return heading;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · DevPocket`;
  }, [title]);
}

/** A screen of somebody who is signed in: a bar above, the content below. */
export function Page({ title, back, actions, children }: Props) {
  const heading = useHeading(title);
  return (
    <>
      <header class="bar">
        {back ? (
          <Link href={back} class="button square quiet" aria-label={t("common.back")}>
            <Icon name="back" />
          </Link>
        ) : (
          <Link href="/" class="brand" aria-label="DevPocket">
            <Icon name="terminal" />
          </Link>
        )}
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {actions}
        {user.value && (
          <Link href="/settings" class="button square quiet" aria-label={t("common.settings")}>
            <Icon name="user" />
          </Link>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** A screen of somebody who isn't signed in: one card. */
export function CardPage({ title, children }: { title: string; children: ComponentChildren }) {
  const heading = useHeading(title);
  return (
    <>
      <main id="main" class="card-page" tabIndex={-1}>
        <p class="brand">
          <Icon name="terminal" /> DevPocket
        </p>
        <section class="card">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {children}
        </section>
      </main>
      <LanguageLinks />
    </>
  );
}

/** Each language in its own words, so that whoever reads only one finds it. */
function LanguageLinks() {
  return (
    <footer class="languages">
      {Object.entries(LANGUAGES).map(([code, name]) => (
        <button
          key={code}
          type="button"
          class="button quiet"
          lang={code}
          aria-pressed={language.value === code}
          onClick={() => {
            language.value = code as Language;
          }}
        >
          {name}
        </button>
      ))}
    </footer>
  );
}

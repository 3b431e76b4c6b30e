import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Link } from "wouter-preact";
import { t } from "../lib/i18n";
import { user } from "../lib/session";
import { Icon } from "./icon";

interface Props {
  title: string;
  /** Where "back" leads; without it the page is one of the main ones. */
  back?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · DevPocket`;
  }, [title]);
}

/** A screen of somebody who is signed in: a bar above, the content below. */
export function Page({ title, back, actions, children }: Props) {
  useTitle(title);
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
        <h1>{title}</h1>
        {actions}
        {user.value && (
          <Link href="/settings" class="button square quiet" aria-label={t("common.settings")}>
            <Icon name="user" />
          </Link>
        )}
      </header>
      <main id="main">{children}</main>
    </>
  );
}

/** A screen of somebody who isn't signed in: one card. */
export function CardPage({ title, children }: { title: string; children: ComponentChildren }) {
  useTitle(title);
  return (
    <main id="main" class="card-page">
      <p class="brand">
        <Icon name="terminal" /> DevPocket
      </p>
      <section class="card">
        <h1>{title}</h1>
        {children}
      </section>
    </main>
  );
}

import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/kit.css";
import "./styles/account.css";
import { render } from "preact";
import { App } from "./app";
import { takeAnswer } from "./lib/google-return";
import { followLanguage } from "./lib/i18n";
import { followMachines } from "./lib/machines";
import { followTheme } from "./lib/prefs";
import { restore } from "./lib/session";

takeAnswer();
followTheme();
followMachines();
// A guest's link needs nobody to be signed in, and must not look as if it did.
if (location.pathname !== "/t") void restore();
await followLanguage(); // or Vietnamese would begin in English
render(<App />, document.getElementById("app") as HTMLElement);

if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // It makes the page open without a network; without it everything else works, so that nothing is said of a failure.
  navigator.serviceWorker.register("/sw.js").catch(() => undefined);
}

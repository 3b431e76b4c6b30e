import type { Texts } from "../../lib/i18n";
import { account } from "./account";
import { common } from "./common";
import { machines } from "./machines";
import { settings } from "./settings";
import { terminal } from "./terminal";

export const vi: Texts = { ...common, ...account, ...machines, ...settings, ...terminal };

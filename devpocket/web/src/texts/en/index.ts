import { account } from "./account";
import { common } from "./common";
import { machines } from "./machines";
import { settings } from "./settings";
import { terminal } from "./terminal";

export const en = { ...common, ...account, ...machines, ...settings, ...terminal };

import { expect, test } from "vitest";
import { keyComment, keyProblem } from "../src/lib/ssh-key";
import { device } from "../src/lib/user-agent";

const BODY = "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh";

test.each([
  [`ssh-ed25519 ${BODY} ann@laptop`, null],
  [`  ssh-ed25519 ${BODY}\n`, null],
  ["ecdsa-sha2-nistp256 AAAA", null],
  ["", "required"],
  [" \n", "required"],
  [`ssh-ed25519 ${BODY}\nssh-ed25519 ${BODY}`, "lines"],
  ["ssh-dss AAAA", "kind"],
  [`command="ls" ssh-ed25519 ${BODY}`, "kind"],
  ["-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----", "private"],
  ["PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1", "private"],
])("the pasted key %j is %s", (text, problem) => {
  expect(keyProblem(text)).toBe(problem);
});

test("a key's name is what stands behind it", () => {
  expect(keyComment(`ssh-ed25519 ${BODY} ann@my laptop\n`)).toBe("ann@my laptop");
  expect(keyComment(`ssh-ed25519 ${BODY}`)).toBe("");
});

test.each([
  [
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
    "Chrome · Android",
  ],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    "Safari · iOS",
  ],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
    "Chrome · iOS",
  ],
  [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
    "Edge · Windows",
  ],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox · Linux"],
  ["Dart/3.5 (dart:io)", "DevPocket"],
  ["something of my own", "something of my own"],
  ["", null],
])("the sign-in of %j is shown as %j", (userAgent, name) => {
  expect(device(userAgent)).toBe(name);
});

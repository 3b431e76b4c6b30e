/** Public SSH keys as they are pasted. Source: docs/accounts.md, "SSH keys"; the server has the last word. */

const KINDS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/** Why `text` is no key to send; null: it may be one. A private key is noticed here, so that it never leaves the page. */
export function keyProblem(text: string): "required" | "private" | "lines" | "kind" | null {
  if (/PRIVATE KEY|PRIVATE-LINES|PUTTY-USER-KEY-FILE/i.test(text)) return "private";
  const line = text.trim();
  if (line === "") return "required";
  if (/[\r\n]/.test(line)) return "lines";
  return KINDS.includes(line.split(" ", 1)[0] ?? "") ? null : "kind";
}

/** What stands behind the key, mostly whose and where: the name it gets where none is given. */
export function keyComment(text: string): string {
  return text.trim().split(/ +/).slice(2).join(" ").slice(0, 100);
}

/** The way to Google and back. Source: OpenID Connect Core 1.0, 3.2 (implicit flow), with the answer in the fragment. */

const GOOGLE = "https://accounts.google.com/o/oauth2/v2/auth";

/** What has to come back as it went, and the query of /google when it began, which says where to go in the end. */
export interface Journey {
  state: string;
  nonce: string;
  search: string;
}

export function authorizationAddress(clientId: string, origin: string, { state, nonce }: Journey): string {
  const query = new URLSearchParams({
    client_id: clientId,
    redirect_uri: `${origin}/google`,
    response_type: "id_token",
    response_mode: "fragment",
    scope: "openid email profile",
    prompt: "select_account",
    state,
    nonce,
  });
  return `${GOOGLE}?${query}`;
}

/**
 * The ID token of an answer to `journey`; what refuses it otherwise. "stranger": an answer to nothing that was asked here,
 * which is how somebody else's account would be slipped in.
 */
export function readAnswer(
  fragment: string,
  journey: Journey | null,
): { idToken: string } | { problem: "denied" | "stranger" } {
  const answer = new URLSearchParams(fragment.replace(/^#/, ""));
  if (journey === null || answer.get("state") !== journey.state) return { problem: "stranger" };
  const idToken = answer.get("id_token");
  if (!idToken) return { problem: "denied" };
  // Signature, issuer and audience are the server's to check; only here is it known which nonce was sent.
  return nonceOf(idToken) === journey.nonce ? { idToken } : { problem: "stranger" };
}

function nonceOf(token: string): unknown {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)).nonce;
  } catch {
    return null;
  }
}

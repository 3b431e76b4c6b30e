import { expect, test } from "vitest";
import { authorizationAddress, type Journey, readAnswer } from "../src/lib/google";

const JOURNEY: Journey = { state: "the state", nonce: "the nonce", search: "?next=%2Fnew" };

const base64url = (text: string) => Buffer.from(text).toString("base64url");
const idToken = (claims: object) => `${base64url('{"alg":"RS256"}')}.${base64url(JSON.stringify(claims))}.c2ln`;
const fragment = (answer: Record<string, string>) => `#${new URLSearchParams(answer)}`;

test("Google is asked for an ID token, in the fragment, with state and nonce, and comes back to /google", () => {
  const url = new URL(authorizationAddress("id.apps.example", "https://here.example", JOURNEY));
  expect(url.origin + url.pathname).toBe("https://accounts.google.com/o/oauth2/v2/auth");
  expect(Object.fromEntries(url.searchParams)).toEqual({
    client_id: "id.apps.example",
    redirect_uri: "https://here.example/google",
    response_type: "id_token",
    response_mode: "fragment",
    scope: "openid email profile",
    prompt: "select_account",
    state: "the state",
    nonce: "the nonce",
  });
});

test("the answer to what was asked gives its token", () => {
  const token = idToken({ sub: "1", nonce: "the nonce", name: "Nguyễn" });
  expect(readAnswer(fragment({ state: "the state", id_token: token }), JOURNEY)).toEqual({ idToken: token });
});

test("an answer with another state, another nonce, or to nothing that was asked, signs nobody in", () => {
  const stranger = { problem: "stranger" };
  const token = idToken({ nonce: "the nonce" });
  expect(readAnswer(fragment({ state: "another", id_token: token }), JOURNEY)).toEqual(stranger);
  expect(readAnswer(fragment({ id_token: token }), JOURNEY)).toEqual(stranger);
  expect(readAnswer(fragment({ state: "the state", id_token: token }), null)).toEqual(stranger);
  for (const claims of [{ nonce: "another" }, {}])
    expect(readAnswer(fragment({ state: "the state", id_token: idToken(claims) }), JOURNEY)).toEqual(stranger);
  for (const broken of ["a", "a.b", "a.%%%.c", `a.${base64url("[")}.c`])
    expect(readAnswer(fragment({ state: "the state", id_token: broken }), JOURNEY)).toEqual(stranger);
});

test("an answer without a token is a refusal", () => {
  const refused = fragment({ state: "the state", error: "access_denied" });
  expect(readAnswer(refused, JOURNEY)).toEqual({ problem: "denied" });
});

// The npm package openid-client against a running Rephlo, which e2e starts.
import assert from "node:assert/strict";
import test from "node:test";
import * as oidc from "openid-client";

const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_IDP: idp, REPHLO_COMPAT_BROWSER: browser, REPHLO_COMPAT_EMAIL: email } = process.env;
const skip = idp ? false : "run through the end-to-end tests: make e2e";
const redirect_uri = "http://127.0.0.1:53998/callback";
const scope = "openid email offline_access llm.inference models.read credits.read";

// visit lets ada's browser follow a request and returns where the app is sent.
async function visit(url) {
  const answer = await fetch(`${browser}/?url=${encodeURIComponent(url)}`);
  assert.equal(answer.status, 200, await answer.clone().text());
  return new URL(await answer.text());
}

const discover = () =>
  oidc.discovery(new URL(idp), "rephlo-desktop", undefined, oidc.None(), { execute: [oidc.allowInsecureRequests] });

async function signIn(config) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState(), expectedNonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri, scope, state: expectedState, nonce: expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  });
  return oidc.authorizationCodeGrant(config, await visit(url.href), { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true });
}

test("sign in, use, refresh, sign out", { skip }, async () => {
  const config = await discover();
  assert.ok(config.serverMetadata().supportsPKCE());
  const tokens = await signIn(config);
  const { sub } = tokens.claims();
  const info = await oidc.fetchUserInfo(config, tokens.access_token, sub);
  assert.equal(info.email, email);
  assert.equal(info.email_verified, true);

  const credits = await oidc.fetchProtectedResource(config, tokens.access_token, new URL(`${api}/v1/credits/me`), "GET");
  assert.equal(credits.status, 200);
  assert.equal((await credits.json()).userId, sub);

  const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  assert.notEqual(fresh.refresh_token, tokens.refresh_token);
  assert.notEqual(fresh.access_token, tokens.access_token);
  assert.equal(fresh.claims()?.sub ?? sub, sub);

  const leave = oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token });
  assert.equal((await fetch(leave)).status, 200);
});

test("a refusal is a typed error", { skip }, async () => {
  const config = await discover();
  await assert.rejects(oidc.refreshTokenGrant(config, "rph_rt_nothing"), (err) => {
    assert.ok(err instanceof oidc.ResponseBodyError, err.constructor.name);
    assert.equal(err.error, "invalid_grant");
    return true;
  });
});

test("an ID token is not an access token", { skip }, async () => {
  const config = await discover();
  const tokens = await signIn(config);
  await assert.rejects(
    oidc.fetchProtectedResource(config, tokens.id_token, new URL(`${api}/v1/credits/me`), "GET"),
    (err) => err instanceof oidc.WWWAuthenticateChallengeError && err.status === 401,
  );
});

test("a refused request comes back as an error", { skip }, async () => {
  const config = await discover();
  const expectedState = oidc.randomState();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri, scope: "everything", state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()), code_challenge_method: "S256",
  });
  await assert.rejects(oidc.authorizationCodeGrant(config, await visit(url.href), { expectedState }), (err) => {
    assert.ok(err instanceof oidc.AuthorizationResponseError, err.constructor.name);
    assert.equal(err.error, "invalid_scope");
    return true;
  });
});

test("a program registers itself, signs in and is removed", { skip }, async () => {
  const config = await oidc.dynamicClientRegistration(
    new URL(idp), { client_name: "A program", redirect_uris: [redirect_uri], token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"] },
    oidc.None(), { execute: [oidc.allowInsecureRequests] });
  const registration = config.clientMetadata();
  assert.match(registration.client_id, /^dyn_/);
  const tokens = await signIn(config);
  const credits = await oidc.fetchProtectedResource(config, tokens.access_token, new URL(`${api}/v1/credits/me`), "GET");
  assert.equal(credits.status, 200);
  await oidc.refreshTokenGrant(config, tokens.refresh_token);

  const gone = await fetch(registration.registration_client_uri, {
    method: "DELETE", headers: { authorization: `Bearer ${registration.registration_access_token}` },
  });
  assert.equal(gone.status, 204);
  await assert.rejects(
    oidc.fetchProtectedResource(config, tokens.access_token, new URL(`${api}/v1/credits/me`), "GET"),
    (err) => err instanceof oidc.WWWAuthenticateChallengeError && err.status === 401,
  );
});

test("a confidential program pushes its request and asks about its tokens", { skip }, async () => {
  const redirect = "https://shop.example/callback";
  const config = await oidc.dynamicClientRegistration(
    new URL(idp), { client_name: "Shop", redirect_uris: [redirect], token_endpoint_auth_method: "client_secret_post", grant_types: ["authorization_code", "refresh_token"], require_pushed_authorization_requests: true },
    undefined, { execute: [oidc.allowInsecureRequests] });
  assert.ok(config.clientMetadata().client_secret);
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier(), expectedState = oidc.randomState();
  const url = await oidc.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: redirect, scope, state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  });
  assert.deepEqual([...url.searchParams.keys()].sort(), ["client_id", "request_uri"]);
  const tokens = await oidc.authorizationCodeGrant(config, await visit(url.href), { pkceCodeVerifier, expectedState, idTokenExpected: true });
  const known = await oidc.tokenIntrospection(config, tokens.access_token);
  assert.equal(known.active, true);
  assert.equal(known.sub, tokens.claims().sub);
  await oidc.tokenRevocation(config, tokens.refresh_token);
  assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, false);
});

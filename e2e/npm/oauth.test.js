// The npm package oauth4webapi, which checks every member and header of an
// answer, against a running Rephlo.
import assert from "node:assert/strict";
import test from "node:test";
import * as oauth from "oauth4webapi";

const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_IDP: idp, REPHLO_COMPAT_BROWSER: browser } = process.env;
const skip = idp ? false : "run through the end-to-end tests: make e2e";
const http = { [oauth.allowInsecureRequests]: true };
const redirect_uri = "http://127.0.0.1:53996/callback";
const scope = "openid email offline_access credits.read";

async function visit(url) {
  const answer = await fetch(`${browser}/?url=${encodeURIComponent(url)}`);
  assert.equal(answer.status, 200, await answer.clone().text());
  return new URL(await answer.text());
}

async function discover() {
  const issuer = new URL(idp);
  for (const algorithm of ["oidc", "oauth2"]) {
    await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...http }));
  }
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http));
}

async function register(as, metadata) {
  return oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(
    as, { client_name: "Strict", redirect_uris: [redirect_uri], grant_types: ["authorization_code", "refresh_token"], ...metadata }, http));
}

// withNonce repeats a request once if the server wants a nonce in its proof.
async function withNonce(request, process) {
  try {
    return await process(await request());
  } catch (err) {
    if (!oauth.isDPoPNonceError(err)) throw err;
    return process(await request());
  }
}

async function parameters(verifier, state, client) {
  return new URLSearchParams({
    client_id: client.client_id, redirect_uri, response_type: "code", scope, state, resource: api,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
}

test("the Resource API says which server gives its tokens", { skip }, async () => {
  const resource = new URL(api);
  const metadata = await oauth.processResourceDiscoveryResponse(resource, await oauth.resourceDiscoveryRequest(resource, http));
  assert.deepEqual(metadata.authorization_servers, [idp]);
});

test("a program binds its tokens to a key (DPoP)", { skip }, async () => {
  const as = await discover();
  const client = await register(as, { token_endpoint_auth_method: "none", dpop_bound_access_tokens: true });
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState();
  const url = new URL(as.authorization_endpoint);
  url.search = await parameters(verifier, state, client);
  const answer = oauth.validateAuthResponse(as, client, await visit(url.href), state);
  const auth = oauth.None();
  const tokens = await withNonce(
    () => oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirect_uri, verifier, { DPoP, ...http }),
    (res) => oauth.processAuthorizationCodeResponse(as, client, res));
  assert.equal(tokens.token_type, "dpop");
  const credits = () => oauth.protectedResourceRequest(tokens.access_token, "GET", new URL(`${api}/v1/credits/me`), undefined, undefined, { DPoP, ...http });
  assert.equal((await credits()).status, 200);
  assert.equal((await credits()).status, 200);
  const request = new Request(`${api}/v1/credits/me`, {
    headers: { authorization: `DPoP ${tokens.access_token}`, dpop: "x" },
  });
  await assert.rejects(oauth.validateJwtAccessToken(as, request, "https://other.example", http)); // another audience
  const stolen = await fetch(`${api}/v1/credits/me`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  assert.equal(stolen.status, 401);
  const fresh = await withNonce(
    () => oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, { DPoP, ...http }),
    (res) => oauth.processRefreshTokenResponse(as, client, res));
  assert.equal(fresh.token_type, "dpop");
  const other = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  await assert.rejects(withNonce(
    () => oauth.refreshTokenGrantRequest(as, client, auth, fresh.refresh_token, { DPoP: other, ...http }),
    (res) => oauth.processRefreshTokenResponse(as, client, res)), (err) => err.error === "invalid_grant");
});

test("a confidential program signs its assertions and its requests, and pushes them", { skip }, async () => {
  const as = await discover();
  const keys = await oauth.generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await crypto.subtle.exportKey("jwk", keys.publicKey)), kid: "k1", use: "sig", alg: "ES256" };
  delete jwk.key_ops; delete jwk.ext;
  const client = await register(as, { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] }, require_pushed_authorization_requests: true });
  assert.equal(client.client_secret, undefined);
  const key = { key: keys.privateKey, kid: "k1" };
  const auth = oauth.PrivateKeyJwt(key);
  const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState();
  const request = await oauth.issueRequestObject(as, client, await parameters(verifier, state, client), key);
  const pushed = await oauth.processPushedAuthorizationResponse(as, client,
    await oauth.pushedAuthorizationRequest(as, client, auth, new URLSearchParams({ client_id: client.client_id, request }), http));
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });
  const answer = oauth.validateAuthResponse(as, client, await visit(url.href), state);
  const tokens = await oauth.processAuthorizationCodeResponse(as, client,
    await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirect_uri, verifier, http));
  const claims = await oauth.validateJwtAccessToken(as, new Request(`${api}/v1/credits/me`, { headers: { authorization: `Bearer ${tokens.access_token}` } }), api, http);
  assert.equal(claims.client_id, client.client_id);
  const known = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, tokens.access_token, http));
  assert.equal(known.active, true);
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, tokens.refresh_token, http));
  await assert.rejects(async () => oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, http)), (err) => err.error === "invalid_grant");
});

test("a device without a browser signs in", { skip }, async () => {
  const as = await discover();
  const client = { client_id: "rephlo-cli" }, auth = oauth.None();
  const device = await oauth.processDeviceAuthorizationResponse(as, client,
    await oauth.deviceAuthorizationRequest(as, client, auth, new URLSearchParams({ scope }), http));
  const poll = async () => oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, auth, device.device_code, http));
  await assert.rejects(poll(), (err) => err.error === "authorization_pending");
  await visit(device.verification_uri_complete);
  for (;;) { // the interval has not passed: it says so until it has
    try {
      const tokens = await poll();
      assert.ok(tokens.refresh_token);
      const answer = await fetch(`${api}/v1/credits/me`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
      assert.equal(answer.status, 200);
      return;
    } catch (err) {
      assert.equal(err.error, "slow_down");
      await new Promise((resolve) => setTimeout(resolve, 11_000));
    }
  }
});

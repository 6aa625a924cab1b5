// The client half of the Model Context Protocol's SDK against a running Rephlo:
// from a 401 of the Resource API to a call with a token, without being told
// anything but the address.
import assert from "node:assert/strict";
import test from "node:test";
import { auth, extractWWWAuthenticateParams } from "@modelcontextprotocol/sdk/client/auth.js";

const { REPHLO_COMPAT_API: api, REPHLO_COMPAT_IDP: idp, REPHLO_COMPAT_BROWSER: browser } = process.env;
const skip = idp ? false : "run through the end-to-end tests: make e2e";

// Program is an MCP client: it keeps what the SDK hands it.
class Program {
  constructor(known) { this.known = known; }
  get redirectUrl() { return "http://localhost:53997/callback"; }
  get clientMetadata() {
    return { client_name: "MCP program", redirect_uris: [this.redirectUrl], token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"] };
  }
  clientInformation() { return this.known; }
  saveClientInformation(known) { this.known = known; this.registered = true; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; }
  codeVerifier() { return this.verifier; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  async redirectToAuthorization(url) {
    this.asked = url;
    const answer = await fetch(`${browser}/?url=${encodeURIComponent(url.href)}`);
    assert.equal(answer.status, 200, await answer.clone().text());
    this.answered = new URL(await answer.text());
  }
}

const call = (tokens) => fetch(`${api}/v1/credits/me`, { headers: tokens ? { authorization: `Bearer ${tokens.access_token}` } : {} });

async function connect(program) {
  const refused = await call();
  assert.equal(refused.status, 401);
  const { resourceMetadataUrl } = extractWWWAuthenticateParams(refused);
  assert.ok(resourceMetadataUrl, "the challenge names the metadata");
  const options = { serverUrl: api, resourceMetadataUrl, scope: "openid offline_access credits.read" };
  assert.equal(await auth(program, options), "REDIRECT");
  assert.equal(new URL(program.asked).searchParams.get("resource").replace(/\/$/, ""), api);
  assert.equal(program.answered.searchParams.get("iss"), idp);
  const authorizationCode = program.answered.searchParams.get("code");
  assert.equal(await auth(program, { ...options, authorizationCode }), "AUTHORIZED");
  const answer = await call(program.kept);
  assert.equal(answer.status, 200, await answer.text());
  return options;
}

test("an unknown program registers itself, signs in, calls and refreshes", { skip }, async () => {
  const program = new Program();
  const options = await connect(program);
  assert.ok(program.registered);
  assert.match(program.known.client_id, /^dyn_/);
  const before = program.kept;
  assert.equal(await auth(program, options), "AUTHORIZED"); // by the refresh token
  assert.notEqual(program.kept.access_token, before.access_token);
  assert.notEqual(program.kept.refresh_token, before.refresh_token);
  assert.equal((await call(program.kept)).status, 200);
});

test("a program that is known uses its client id", { skip }, async () => {
  const program = new Program({ client_id: "rephlo-desktop" });
  await connect(program);
  assert.equal(program.known.client_id, "rephlo-desktop"); // it did not register
});

test("a token for another resource is not asked for", { skip }, async () => {
  const metadata = async (url, init) => {
    const answer = await fetch(url, init);
    if (!String(url).includes("oauth-protected-resource")) return answer;
    return Response.json({ ...(await answer.json()), resource: "https://other.example/" });
  };
  await assert.rejects(auth(new Program(), { serverUrl: api, fetchFn: metadata }), /resource/i);
});

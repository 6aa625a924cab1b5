package manual

import "github.com/rephlo/rephlo/internal/web"

// Resource introduces the Resource API in its OpenAPI document. keyScopes are the
// scopes that API keys can have.
func Resource(keyScopes []string) web.Contract {
	return web.Contract{Private: true, KeyScopes: keyScopes, Codes: names(), About: `Calls to language models, and the account, the keys, the credits and the plan that pay for them.

**Signing in.** Send an access token of the Identity Provider, or where it is listed an API key, in the Authorization header as Bearer. Each operation lists the scopes that it needs. Operations below /admin need the scope admin and the permission that they name.

**Errors.** Each carries a code that never changes its meaning, a message for people, and the request id. The paths of OpenAI, Anthropic and Google answer errors in their shapes.

**Lists.** A page has data and nextCursor. Ask for the next page with cursor, until nextCursor is null. Newest entries come first.

**Changes.** Any change may carry an Idempotency-Key; those that must not happen twice by accident need one. Things that several people edit have an ETag: send it as If-Match.

**Credits** are JSON numbers with at most six decimals, **times** are RFC 3339 in UTC. Answers may get further fields; ignore what you do not know.`}
}

// Identity introduces the Identity Provider.
func Identity() web.Contract {
	return web.Contract{Codes: names(), About: `OAuth 2.1 and OpenID Connect: how people and programs get the tokens for the Resource API. Its pages for people are not listed here.

The metadata at /.well-known/openid-configuration says what is switched on. Sign people in with the authorization code flow and PKCE (S256). Errors are those of RFC 6749: error and error_description.`}
}

func names() []string {
	var out []string
	for _, c := range Codes {
		out = append(out, c.Name)
	}
	return out
}

package client

import "github.com/rephlo/rephlo/internal/identity/oauth"

// desktopScopes are what an application on a user's machine needs.
var desktopScopes = []string{
	oauth.ScopeOpenID, oauth.ScopeProfile, oauth.ScopeEmail, oauth.ScopeOffline,
	"llm.inference", "models.read", oauth.ScopeUserInfo, "credits.read",
}

// firstParty returns our own clients. They are native programs, so they have
// no secret and the user is asked.
func firstParty() []Client {
	return []Client{
		{
			ID: "rephlo-cli", Name: "Rephlo CLI", FirstParty: true, Native: true, Public: true, AuthMethod: AuthNone,
			RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]/callback"},
			Scopes:       oauth.Scopes(),
			Grants:       []string{GrantCode, GrantRefresh, GrantDevice},
			RefreshLife:  LifeStandalone,
		},
		{
			ID: "rephlo-desktop", Name: "Rephlo Desktop", FirstParty: true, Native: true, Public: true, AuthMethod: AuthNone,
			RedirectURIs: []string{"http://127.0.0.1/callback", "http://localhost/callback", "ai.rephlo.desktop:/callback"},
			Scopes:       desktopScopes,
			Grants:       []string{GrantCode, GrantRefresh},
			RefreshLife:  LifeStandalone,
		},
	}
}

// demo is for trying things out; it exists in development only.
func demo() Client {
	loopback := []string{
		"http://127.0.0.1/callback", "http://127.0.0.1/oauth/callback", "http://localhost/callback",
		"http://localhost/oauth/callback", "http://[::1]/callback", "http://[::1]/oauth/callback",
	}
	return Client{
		ID: "rephlo-demo", Name: "Rephlo Demo", FirstParty: true, Native: true, Public: true, AuthMethod: AuthNone,
		RedirectURIs: loopback,
		Scopes:       desktopScopes,
		Grants:       []string{GrantCode, GrantRefresh},
		RefreshLife:  LifeStandalone,
		PostLogoutRedirectURIs: []string{
			"http://127.0.0.1/", "http://localhost/", "http://[::1]/",
		},
	}
}

package federation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/oauth2"
)

// gitHub speaks GitHub's OAuth and reads the user from its REST API: it issues
// no ID tokens. https://docs.github.com/en/apps/oauth-apps
type gitHub struct {
	settings Settings
	client   *http.Client
}

func (g *gitHub) config(t trip) *oauth2.Config {
	return &oauth2.Config{
		ClientID: g.settings.ClientID, ClientSecret: g.settings.Secret.Reveal(), RedirectURL: t.back, Scopes: []string{"read:user", "user:email"},
		Endpoint: oauth2.Endpoint{
			AuthURL: g.settings.Issuer + "/login/oauth/authorize", TokenURL: g.settings.Issuer + "/login/oauth/access_token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

func (g *gitHub) address(_ context.Context, t trip) (string, error) {
	return g.config(t).AuthCodeURL(t.state, oauth2.S256ChallengeOption(t.Verifier)), nil
}

func (g *gitHub) person(ctx context.Context, t trip, code, _ string) (Person, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.client)
	token, err := g.config(t).Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return Person{}, exchanged(err)
	}
	var user struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := g.get(ctx, token, "/user", &user); err != nil {
		return Person{}, err
	}
	if user.ID <= 0 {
		return Person{}, errors.New("GitHub names no user")
	}
	var mails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := g.get(ctx, token, "/user/emails", &mails); err != nil {
		return Person{}, err
	}
	p := Person{Issuer: g.settings.Issuer, Subject: strconv.FormatInt(user.ID, 10)}
	p.First, p.Last = names("", "", short(user.Name))
	for _, m := range mails {
		if m.Primary {
			p.Email, p.Vouched = short(m.Email), m.Verified
		}
	}
	return p, nil
}

func (g *gitHub) get(ctx context.Context, token *oauth2.Token, path string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.settings.API+path, nil) //nolint:gosec // the address is the operator's
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	r.Header.Set("Accept", "application/vnd.github+json")
	res, err := g.client.Do(r) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GitHub answers %s with %d", path, res.StatusCode)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

package cli_test

import (
	"strings"
	"testing"
)

func TestClientsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		made := i.run(t, "", "client", "create", "shop", "--name", "Shop", "--redirect-uri", "https://shop.test/cb,1", "--scope", "openid", "--scope", "email",
			"--settings", `{"requirePar":true}`)
		made.want(t, 0)
		if !strings.Contains(made.out, "client shop\nsecret rph_cs_") {
			t.Errorf("it prints %s", made.out)
		}
		i.run(t, "", "client", "create", "shop", "--name", "Shop", "--redirect-uri", "https://shop.test/cb").want(t, 1, "already")
		i.run(t, "", "client", "edit", "shop", "--settings", `{"secrets":[]}`).want(t, 2, "unknown field")
		i.run(t, "", "client", "edit", "shop", "--settings", `{"pkce":"perhaps"}`).want(t, 1, "neither")
		i.run(t, `{"dpop":"required"}`, "client", "edit", "shop", "--settings", "-").want(t, 0)
		i.run(t, "", "client", "verify", "shop").want(t, 0)
		i.run(t, "", "client", "disable", "shop").want(t, 0)
		show := i.run(t, "", "client", "show", "shop")
		show.want(t, 0)
		for _, part := range []string{`"status": "disabled"`, `"dpop": "required"`, `"requirePar": true`, `"verified": true`, `"https://shop.test/cb,1"`, `"email"`} {
			if !strings.Contains(show.out, part) {
				t.Errorf("%s is not in %s", part, show.out)
			}
		}
		i.run(t, "", "client", "enable", "shop").want(t, 0)
		if again := i.run(t, "", "client", "rotate-secret", "shop"); !strings.HasPrefix(again.out, "secret rph_cs_") || strings.Contains(made.out, again.out) {
			t.Errorf("the next secret is %s", again.out)
		}
		if list := i.run(t, "", "client", "list"); !strings.Contains(list.out, "shop") || !strings.Contains(list.out, "active") {
			t.Errorf("the list is %s", list.out)
		}
		i.run(t, "", "client", "delete", "shop").want(t, 0)
		i.run(t, "", "client", "delete", "shop").want(t, 1, "no client")
	})
}

func TestResourcesFromTheCommandLine(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		const address = "https://notes.test/api"
		i.run(t, "", "resource", "create", address, "--settings", `{"name":"Notes","scopes":[{"name":"notes.read","text":"Read notes"}]}`).want(t, 0)
		i.run(t, "", "resource", "create", address, "--settings", `{"name":"Notes"}`).want(t, 1, "already")
		i.run(t, `{"openTo":"anybody"}`, "resource", "edit", address, "--settings", "-").want(t, 1, "openTo")
		i.run(t, "", "resource", "edit", address, "--settings", `{"openTo":"any","status":"disabled"}`).want(t, 0)
		show := i.run(t, "", "resource", "show", address)
		for _, part := range []string{`"openTo": "any"`, `"status": "disabled"`, `"Read notes"`} {
			if !strings.Contains(show.out, part) {
				t.Errorf("%s is not in %s", part, show.out)
			}
		}
		if list := i.run(t, "", "resource", "list"); !strings.Contains(list.out, address) {
			t.Errorf("the list is %s", list.out)
		}
		i.run(t, "", "resource", "delete", address).want(t, 0)
		i.run(t, "", "resource", "delete", address).want(t, 1, "no resource")
	})
}

package client_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// notes is what an administrator says of an API.
func notes(open client.OpenTo) client.ResourceEdit {
	return client.ResourceEdit{
		Name: new("Notes"), OpenTo: &open, DefaultScopes: &[]string{"notes.read"},
		Scopes: &[]client.Scope{{Name: "notes.read", Text: "Read notes", Delegable: true}, {Name: "notes.write", Text: "Write notes"}},
	}
}

func TestWhoMayHaveTokensForAResource(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		ours, partner := confidential("ours", client.AuthBasic), confidential("partner", client.AuthBasic)
		ours.FirstParty, partner.Resources = true, []string{"https://notes.test"}
		for _, c := range []client.Client{ours, partner, confidential("other", client.AuthBasic)} {
			if _, err := o.Clients.Create(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := o.CreateResource(t.Context(), "https://notes.test", notes(client.OpenFirstParty), because); err != nil {
			t.Fatal(err)
		}
		whole, part := []string{"notes.read", "notes.write"}, []string{"notes.read"}
		for _, tt := range []struct {
			open                  client.OpenTo
			ours, partner, others []string
		}{
			{client.OpenFirstParty, whole, nil, nil},
			{client.OpenApproved, whole, whole, nil},
			{client.OpenAny, whole, whole, part},
		} {
			if _, err := o.EditResource(t.Context(), "https://notes.test", client.ResourceEdit{OpenTo: &tt.open}, because); err != nil {
				t.Fatal(err)
			}
			for id, want := range map[string][]string{"ours": tt.ours, "partner": tt.partner, "other": tt.others} {
				c, err := o.Clients.ByID(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range c.Others() {
					got = append(got, r.Scopes...)
				}
				if !slices.Equal(got, want) {
					t.Errorf("open to %s: %s may have %v, want %v", tt.open, id, got, want)
				}
			}
		}
	})
}

func TestResourcesDoNotShareNames(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		o.Ours = []string{"https://api.test"}
		create := func(id string, e client.ResourceEdit) error {
			_, err := o.CreateResource(t.Context(), id, e, because)
			return err
		}
		if err := create("https://notes.test", notes(client.OpenAny)); err != nil {
			t.Fatal(err)
		}
		scope := func(name string) client.ResourceEdit {
			return client.ResourceEdit{Name: new("X"), Scopes: &[]client.Scope{{Name: name, Text: "x"}}}
		}
		alias := scope("x.alias")
		alias.Aliases = &[]string{"https://NOTES.test:443/"}
		for name, tt := range map[string]struct {
			id   string
			edit client.ResourceEdit
			want error
		}{
			"the same address":       {"https://notes.test", scope("x"), client.ErrResourceExists},
			"the same in other form": {"https://NOTES.test:443/", scope("x"), client.ErrResourceExists},
			"an alias of another":    {"https://x.test", alias, client.ErrResourceExists},
			"a scope of another":     {"https://x.test", scope("notes.read"), client.ErrResourceExists},
			"our own address":        {"https://api.test/", scope("x"), client.ErrResourceExists},
			"a scope of ours":        {"https://x.test", scope("llm.inference"), client.ErrResourceInvalid},
			"a scope with a blank":   {"https://x.test", scope("a b"), client.ErrResourceInvalid},
			"a fragment":             {"https://x.test/#a", scope("x"), client.ErrResourceInvalid},
			"no address":             {"notes", scope("x"), client.ErrResourceInvalid},
			"no name":                {"https://x.test", client.ResourceEdit{}, client.ErrResourceInvalid},
		} {
			if err := create(tt.id, tt.edit); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		if list := o.Resources(t.Context()); len(list) != 1 {
			t.Errorf("there are %d resources", len(list))
		}
		if err := o.DeleteResource(t.Context(), "https://notes.test", because); err != nil {
			t.Fatal(err)
		}
		if err := o.DeleteResource(t.Context(), "https://notes.test", because); !errors.Is(err, client.ErrNoResource) {
			t.Errorf("again: %v, want ErrNoResource", err)
		}
		if err := create("https://x.test", scope("notes.read")); err != nil {
			t.Errorf("what was freed cannot be taken: %v", err)
		}
	})
}

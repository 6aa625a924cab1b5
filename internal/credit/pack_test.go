package credit_test

import (
	"testing"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// What an administrator gives of a pack is a pack: it is used last and lasts as
// long as a bought one.
func TestAPackIsGivenAsOne(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		root := c.with("User", "root", "Scope", "admin", "Roles", "super_admin", "Idempotency-Key", "p1")
		give := func(key, body string, status int) map[string]any {
			t.Helper()
			got := root.with("Idempotency-Key", key).do("POST", "/admin/credits/grant-bonus", `{"userId":"ada",`+body+`,`+why+`}`)
			if got.status != status {
				t.Fatalf("%s: %d %s, want %d", body, got.status, got.text, status)
			}
			return got.body
		}
		made, again := give("p1", `"packId":"pack_500"`, 201), give("p1", `"packId":"pack_500"`, 201)
		if made["amount"] != 500.0 || made["grantId"] != again["grantId"] {
			t.Errorf("given %v, again %v", made, again)
		}
		give("p1", `"amount":500`, 422)         // the key of another wish
		give("p2", `"packId":"pack_none"`, 404) // no such pack
		give("p2", `"packId":"pack_500","amount":5`, 422)
		give("p3", `"packId":"pack_always"`, 201)
		give("p4", `"packId":"pack_500","expiresAt":"2030-01-01T00:00:00Z"`, 201)
		b, err := w.Balance(t.Context(), "ada")
		if err != nil || len(b.Buckets) != 3 || b.Available != 1500*money.Credit {
			t.Fatalf("%+v, %v", b, err)
		}
		for i, want := range []string{"2027", "2030", "0001"} {
			if k := b.Buckets[i]; k.Source != credit.Pack || k.ExpiresAt.Format("2006") != want {
				t.Errorf("bucket %d: %+v, want a pack until %s", i, k, want)
			}
		}
		sam := c.with("User", "sam", "Scope", "admin", "Roles", "support", "Idempotency-Key", "p5")
		if got := sam.do("POST", "/admin/credits/grant-bonus", `{"userId":"ada","packId":"pack_500",`+why+`}`); got.status != 202 {
			t.Errorf("beyond the caps of support: %d %s", got.status, got.text)
		}
	})
}

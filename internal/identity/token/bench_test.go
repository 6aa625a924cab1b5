package token_test

import (
	"testing"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/token"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// One exchange and its durable writes, with an ES256 ID token; without HTTP.
func BenchmarkExchange(b *testing.B) {
	w := newWorld(b, dbtest.Open(b, dbtest.SQLite(b)))
	desktop, err := w.clients.ByID(b.Context(), "rephlo-desktop")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("code", func(b *testing.B) {
		for b.Loop() {
			r := token.Request{Client: desktop, GrantType: client.GrantCode, Code: w.code("openid offline_access llm.inference"), Verifier: verifier}
			if _, err := w.tokens.Exchange(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("refresh", func(b *testing.B) {
		a := w.exchange(w.code("openid offline_access llm.inference")).RefreshToken
		for b.Loop() {
			next, err := w.tokens.Exchange(b.Context(), token.Request{Client: desktop, GrantType: client.GrantRefresh, RefreshToken: a})
			if err != nil {
				b.Fatal(err)
			}
			a = next.RefreshToken
		}
	})
}

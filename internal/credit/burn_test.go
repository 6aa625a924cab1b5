package credit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// What is left of each grant does not depend on whether something is charged at
// once or in parts, nor on how much more than that was held.
func TestOneChargeIsItsPartsOneAfterAnother(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 10_000 {
		var all money.Credits
		grants := make([]money.Credits, 1+r.IntN(6))
		for i := range grants {
			grants[i] = money.Credits(r.Int64N(1000))
			all += grants[i]
		}
		charge := money.Credits(r.Int64N(int64(all) + 1))
		want := make([]money.Credits, len(grants)) // by hand: the front first
		for i, left := 0, charge; i < len(grants); i++ {
			n := min(left, grants[i])
			want[i] = grants[i] - n
			left -= n
		}
		var parts []money.Credits
		for left := charge; left > 0; left -= parts[len(parts)-1] {
			parts = append(parts, 1+money.Credits(r.Int64N(int64(left))))
		}
		more := money.Credits(r.Int64N(500))
		for _, charges := range [][]money.Credits{{charge}, parts} {
			if got := credit.Burn(grants, charges, more); !slices.Equal(got, want) {
				t.Fatalf("%v charged of %v, %d more held each time: %v left, want %v", charges, grants, more, got, want)
			}
		}
	}
}

// The order in which grants were made does not matter where they differ in
// their end or their source.
func TestTheOrderInWhichGrantsAreMadeDoesNotMatter(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		f := faulty.New()
		rounds := share(200, 10)
		if local(url) {
			f.Setup = []string{`PRAGMA synchronous=OFF`}
			rounds = share(2000, 40)
		}
		db, err := sqldb.OpenThrough(t.Context(), url, f.Through)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		w := open(t, db, quiet)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		for n := range rounds {
			permuted(w, r, n)
		}
	})
}

// permuted gives two users the same grants in different orders and charges both
// the same.
func permuted(w *world, r *rand.Rand, n int) {
	w.t.Helper()
	type kind struct {
		source credit.Source
		days   int
		amount money.Credits
	}
	var (
		kinds []kind
		all   money.Credits
	)
	for _, i := range r.Perm(len(bookOrder) * 3)[:1+r.IntN(6)] {
		k := kind{bookOrder[i/3], i % 3, money.Credits(1 + r.Int64N(50))}
		kinds = append(kinds, k)
		all += k.amount
	}
	need := money.Credits(1 + r.Int64N(int64(all)))
	price := money.Credits(r.Int64N(int64(need) + 1))
	var got [2]string
	for u := range got {
		user, made := fmt.Sprintf("user%d_%d", n, u), map[credit.GrantID]kind{}
		for _, i := range r.Perm(len(kinds)) {
			k := kinds[i]
			g := credit.NewGrant{User: user, Source: k.source, Ref: fmt.Sprintf("%s:%d", user, i), Amount: k.amount}
			if k.days > 0 { // 0: never
				g.ExpiresAt = w.clock.now().AddDate(0, 0, k.days)
			}
			id, err := w.Grant(w.t.Context(), g)
			w.must(err)
			made[id] = k
		}
		for _, p := range w.settle(w.reserve(user, "call_"+user, need), price).Parts {
			got[u] += fmt.Sprint(made[p.Grant], " held ", p.Held, " charged ", p.Charged, "; ")
		}
	}
	if got[0] != got[1] {
		w.t.Errorf("%d of %d in %v: %s and %s", price, need, kinds, got[0], got[1])
	}
	w.clock.advance(time.Millisecond)
}

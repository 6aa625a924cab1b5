package credit_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestAuditPathsLeadToTheRoot(t *testing.T) {
	t.Parallel()
	var leaves [][32]byte
	for size := 1; size <= 70; size++ {
		leaves = append(leaves, sha256.Sum256([]byte{byte(size)}))
		root := definition(leaves)
		for i, leaf := range leaves {
			path := credit.AuditPath(i, leaves)
			if got, ok := credit.Climb(int64(i), int64(size), leaf, path); !ok || got != root {
				t.Fatalf("leaf %d of %d leads to %x, %v; want %x", i, size, got, ok, root)
			}
			if got, ok := credit.Climb(int64(i), int64(size), leaf, append(path, credit.Hash{})); ok && got == root {
				t.Fatalf("leaf %d of %d: a path that is too long leads to the root", i, size)
			}
			if len(path) > 0 {
				if _, ok := credit.Climb(int64(i), int64(size), leaf, path[1:]); ok {
					t.Fatalf("leaf %d of %d: a path that is too short leads somewhere", i, size)
				}
			}
			if got, ok := credit.Climb(int64(i+1), int64(size), leaf, path); ok && got == root {
				t.Fatalf("leaf %d of %d stands in another place too", i, size)
			}
		}
	}
}

func TestExplainACall(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		early := w.grant("ada", "plan:1", 4*money.Credit, w.clock.now().AddDate(0, 1, 0))
		late := w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
		for i := range 20 {
			w.settle(w.reserve("ada", fmt.Sprint("call_before", i), 100_000), 100_000)
		}
		h := w.reserve("ada", "call_two", 5*money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		explain := func(call string) (credit.Receipt, credit.Proof) {
			t.Helper()
			r, p, err := w.Explain(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(); err != nil {
				t.Errorf("the proof of %s: %v", call, err)
			}
			return r, p
		}
		if r, p := explain("call_two"); r.Held != 5*money.Credit || r.Charged != 0 || len(p.Transfers) != 2 || p.Chains[0].Signed != nil {
			t.Errorf("while it is open: %+v, %+v", r, p)
		}
		w.settle(h, 7*money.Credit)
		for i := range 20 {
			w.settle(w.reserve("ada", fmt.Sprint("call_after", i), 100_000), 100_000)
		}
		want := credit.Receipt{
			Ref: "call_two", Held: 5 * money.Credit, Charged: 5 * money.Credit, Uncollected: 2 * money.Credit,
			Parts: []credit.Part{{Grant: early, Held: 2 * money.Credit, Charged: 2 * money.Credit}, {Grant: late, Held: 3 * money.Credit, Charged: 3 * money.Credit}},
		}
		r, p := explain("call_two")
		if !reflect.DeepEqual(r, want) {
			t.Errorf("%+v, want %+v", r, want)
		}
		if p.Chains[0].Signed != nil || len(p.Chains[0].Links) < 20 {
			t.Errorf("before the day is signed the chain must go to the head: %d links", len(p.Chains[0].Links))
		}
		w.clock.advance(24 * time.Hour)
		w.sign()
		w.settle(w.reserve("ada", "call_tomorrow", 100_000), 100_000)
		_, p = explain("call_two")
		if p.Chains[0].Signed == nil || len(p.Transfers) != 4 || len(p.Chains) != 1 {
			t.Fatalf("after the day was signed: %+v", p)
		}
		if _, _, err := w.Explain(t.Context(), "call_none"); !errors.Is(err, credit.ErrNoCall) {
			t.Errorf("an unknown call: %v, want ErrNoCall", err)
		}
		everyChange(t, p)
	})
}

// everyChange changes each value of a proof and wants that to show.
func everyChange(t *testing.T, p credit.Proof) {
	t.Helper()
	n := 0
	var walk func(path string, v reflect.Value)
	try := func(path string, change, back func()) {
		n++
		change()
		if err := p.Check(); err == nil {
			t.Errorf("the proof still holds with another %s", path)
		}
		back()
	}
	walk = func(path string, v reflect.Value) {
		switch {
		case strings.HasSuffix(path, "Key.ID"), strings.HasSuffix(path, "Key.No"), strings.Contains(path, "Key.Signature"):
			return // of the key's own proof
		case v.Type() == reflect.TypeFor[time.Time]():
			was := v.Interface().(time.Time)
			try(path, func() { v.Set(reflect.ValueOf(was.AddDate(0, 0, 1))) }, func() { v.Set(reflect.ValueOf(was)) })
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Pointer:
			walk(path, v.Elem())
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		case reflect.String:
			was := v.String()
			try(path, func() { v.SetString(was + "x") }, func() { v.SetString(was) })
		case reflect.Int, reflect.Int64:
			was := v.Int()
			try(path, func() { v.SetInt(was + 1) }, func() { v.SetInt(was) })
		case reflect.Uint8:
			was := v.Uint()
			try(path, func() { v.SetUint(was ^ 1) }, func() { v.SetUint(was) })
		default:
			t.Fatalf("%s is a %s", path, v.Kind())
		}
	}
	walk("proof", reflect.ValueOf(&p).Elem())
	if err := p.Check(); err != nil || n < 500 {
		t.Errorf("after %d changes that were taken back: %v", n, err)
	}
	if text, err := json.Marshal(p); err != nil || !strings.Contains(string(text), `"grant":"grt_`) || !strings.Contains(string(text), `"signed":{"day":"2026-03-01"`) {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}

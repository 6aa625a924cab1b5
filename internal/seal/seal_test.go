package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rephlo/rephlo/internal/seal"
)

func TestSealedValuesStayInTheirPlace(t *testing.T) {
	t.Parallel()
	box, err := seal.NewBox(bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.NewBox(bytes.Repeat([]byte{2}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := box.Seal([]byte("sk-planted"), "provider|key|1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := box.Open(sealed, "provider|key|1"); err != nil || string(got) != "sk-planted" {
		t.Errorf("got %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("planted")) {
		t.Error("the text is readable")
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another row": func() ([]byte, error) { return box.Open(sealed, "provider|key|2") },
		"another key": func() ([]byte, error) { return other.Open(sealed, "provider|key|1") },
		"changed":     func() ([]byte, error) { return box.Open(flipped, "provider|key|1") },
		"cut":         func() ([]byte, error) { return box.Open(sealed[:5], "provider|key|1") },
		"empty":       func() ([]byte, error) { return box.Open(nil, "provider|key|1") },
	} {
		if _, err := open(); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
	if bytes.Equal(box.Subkey("a"), box.Subkey("b")) || len(box.Subkey("a")) != seal.KeySize {
		t.Error("subkeys do not depend on their label")
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	p := seal.NewPasswords()
	ctx := t.Context()
	long := strings.Repeat("x", 72)
	phc, err := p.Hash(ctx, long+"a")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=47104,t=1,p=1$") {
		t.Fatalf("got %q, %v", phc, err)
	}
	// Made with other parameters.
	const old = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$b7HcfZBcWvdO7OKKzTSMTA"
	for _, tt := range []struct {
		name, phc, password string
		ok                  bool
	}{
		{"right", phc, long + "a", true},
		{"differs after 72 bytes", phc, long + "b", false},
		{"unknown name", "", "", false},
		{"old parameters, wrong", old, "x", false},
	} {
		ok, renew, err := p.Verify(ctx, tt.phc, tt.password)
		if err != nil || ok != tt.ok || renew {
			t.Errorf("%s: %t, renew %t, %v; want %t", tt.name, ok, renew, err, tt.ok)
		}
	}
	// Two ways to type the same letter are one password.
	composed, err := p.Hash(ctx, "caf\u00e9 au lait")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := p.Verify(ctx, composed, "cafe\u0301 au lait"); err != nil || !ok {
		t.Errorf("decomposed form: %t, %v", ok, err)
	}
	if _, _, err := p.Verify(ctx, "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$b7HcfZBcWvdO7OKKzTSMTA", "x"); err == nil {
		t.Error("a hash that asks for 4 TiB was computed")
	}
}

// A crowd at the door: some get in, the rest are told to come back, none waits
// without end.
func TestPasswordPoolIsBounded(t *testing.T) {
	t.Parallel()
	p := seal.NewPasswords()
	var in, busy atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			switch _, _, err := p.Verify(t.Context(), "", "x"); {
			case err == nil:
				in.Add(1)
			case errors.Is(err, seal.ErrBusy):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d were served and %d sent away; want some of both", in.Load(), busy.Load())
	}
}

func FuzzVerify(f *testing.F) {
	p := seal.NewPasswords()
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$b7HcfZBcWvdO7OKKzTSMTA")
	f.Add("$argon2id$v=19$m=,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, phc string) {
		if strings.Contains(phc, "m=") && len(phc) > 200 {
			return
		}
		if ok, _, _ := p.Verify(t.Context(), phc, "correct horse"); ok {
			t.Errorf("%q verified", phc)
		}
	})
}

// Somebody who does not exist must cost what somebody who does costs.
func TestUnknownNamesAreHashedWithTheSameParameters(t *testing.T) {
	t.Parallel()
	p := seal.NewPasswords()
	phc, err := p.Hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if !p.CostsAs(phc) {
		t.Errorf("an unknown name costs something else than %q", phc)
	}
}

package grant

import (
	"strings"
	"testing"
)

// Whatever somebody types: what is taken for a code looks like one, and the
// ways to write a code are the same code.
func FuzzUserCode(f *testing.F) {
	f.Add(newUserCode())
	f.Add(" bcdf ghjk ")
	f.Add("\xff\xfe-")
	f.Fuzz(func(t *testing.T, typed string) {
		code := plainUserCode(typed)
		if code == "" {
			return
		}
		if len(code) != userLength || strings.Trim(code, userAlphabet) != "" || plainUserCode(strings.ToLower(code[:4]+"-"+code[4:])) != code {
			t.Errorf("%q is taken for %q", typed, code)
		}
	})
}

package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/secret"
)

func TestNothingPrintsTheText(t *testing.T) {
	t.Parallel()
	const text = "sk-planted"
	s := secret.New(text)
	holder := struct{ Key secret.String }{s}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %v %+v %#v %q %x %d", s, holder, holder, holder, s, s, s)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("event", "key", s, "holder", holder)
	if strings.Contains(out.String(), text) || strings.Contains(out.String(), fmt.Sprintf("%x", text)) {
		t.Errorf("the secret was printed: %s", out.String())
	}
	if s.Reveal() != text || !s.Equal(text) || s.Equal("other") {
		t.Error("the secret itself is lost")
	}
}

package id_test

import (
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

func TestIdentifiersRiseWithTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b := id.New("usr", at), id.New("usr", at.Add(time.Millisecond))
	if a >= b {
		t.Errorf("%s was made before %s but sorts after it", a, b)
	}
	if first := id.First("usr", at); first > a || first <= id.New("usr", at.Add(-time.Millisecond)) {
		t.Errorf("First is %s, but %s was made at its time", first, a)
	}
	if !id.Is("usr", a) || id.Is("key", a) || id.Is("usr", a+"0") || id.Is("usr", "usr_ILOU") {
		t.Errorf("Is does not recognise what New makes: %s", a)
	}
	if c := id.New("usr", at); c == a {
		t.Errorf("%s was made twice", c)
	}
}

package list_test

import (
	"errors"
	"testing"

	"github.com/rephlo/rephlo/internal/list"
)

func TestCursorsAreSignedForTheirList(t *testing.T) {
	t.Parallel()
	c := list.NewCursors([]byte("key"))
	cursor, err := c.Encode("usage", 42)
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if err := c.Decode("usage", cursor, &got); err != nil || got != 42 {
		t.Errorf("got %d, %v; want 42", got, err)
	}
	for name, bad := range map[string]func() error{
		"another list": func() error { return c.Decode("keys", cursor, &got) },
		"another key":  func() error { return list.NewCursors([]byte("x")).Decode("usage", cursor, &got) },
		"changed":      func() error { return c.Decode("usage", "A"+cursor[1:], &got) },
		"garbage":      func() error { return c.Decode("usage", "%%%", &got) },
		"empty":        func() error { return c.Decode("usage", "", &got) },
	} {
		if err := bad(); !errors.Is(err, list.ErrCursor) {
			t.Errorf("%s: %v, want ErrCursor", name, err)
		}
	}
}

func FuzzDecodeCursor(f *testing.F) {
	c := list.NewCursors([]byte("key"))
	good, _ := c.Encode("usage", []int{1, 2})
	f.Add(good)
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		var position []int
		if err := c.Decode("usage", cursor, &position); err != nil && !errors.Is(err, list.ErrCursor) {
			t.Errorf("unclassified error: %v", err)
		}
	})
}

package relay_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/llm/relay"
)

func TestFieldsAreLeftOutRenamedAndAdded(t *testing.T) {
	t.Parallel()
	const body = ` { "a" : 1 , "b":{"c":[1,2]}, "c":"x,\"y" }  `
	starts := map[string]int{}
	relay.Members([]byte(body), func(m relay.Member) bool {
		starts[string(m.Name)] = m.Start
		return true
	})
	for _, tt := range []struct {
		changes []relay.Change
		add     string
		want    string
	}{
		{nil, "", ` {"a" : 1,"b":{"c":[1,2]},"c":"x,\"y"}`},
		{[]relay.Change{{Start: starts["a"]}}, "", ` {"b":{"c":[1,2]},"c":"x,\"y"}`},
		{[]relay.Change{{Start: starts["b"]}}, "", ` {"a" : 1,"c":"x,\"y"}`},
		{[]relay.Change{{Start: starts["c"]}}, `"z":0`, ` {"z":0,"a" : 1,"b":{"c":[1,2]}}`},
		{[]relay.Change{{Start: starts["b"], Name: "q"}}, "", ` {"a" : 1,"q":{"c":[1,2]},"c":"x,\"y"}`},
		{[]relay.Change{{Start: starts["a"]}, {Start: starts["b"]}, {Start: starts["c"]}}, "", ` {}`},
		{[]relay.Change{{Start: starts["a"]}, {Start: starts["b"]}, {Start: starts["c"]}}, `"z":0`, ` {"z":0}`},
	} {
		if got := string(relay.Rewrite([]byte(body), tt.changes, []byte(tt.add))); got != tt.want {
			t.Errorf("%v and %s: %s, want %s", tt.changes, tt.add, got, tt.want)
		}
	}
}

// Whatever body is scanned, leaving a field out leaves the others as they were.
func FuzzRewrite(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[],"top_k":5,"x":{"top_k":1}}`), "top_k")
	f.Add([]byte(`{"mod\u0065l":"m","messages":[{"a":"}"}] , "top_k" : null }`), "messages")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		if _, err := relay.ScanChat(body); err != nil {
			return
		}
		var was, is map[string]json.RawMessage
		if err := json.Unmarshal(body, &was); err != nil {
			t.Skip() // two names that encoding/json takes for one
		}
		var changes []relay.Change
		n := 0
		relay.Members(body, func(m relay.Member) bool {
			if n++; string(m.Name) == name {
				changes = append(changes, relay.Change{Start: m.Start})
			}
			return true
		})
		if n != len(was) {
			t.Fatalf("%d fields were walked, there are %d", n, len(was))
		}
		delete(was, name)
		out := relay.Rewrite(body, changes, nil)
		if err := json.Unmarshal(out, &is); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s became %s: %s", body, out, diff)
		}
	})
}

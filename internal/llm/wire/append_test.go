package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/llm/wire"
)

func TestMembersAreSeparatedAndUnsaidOnesLeftOut(t *testing.T) {
	t.Parallel()
	yes := true
	b := []byte("{")
	b = wire.String(b, "a", "x\"\\\n\x01")
	b = wire.OptString(b, "b", "")
	b = wire.OptString(b, "c", []byte("y"))
	b = wire.Int(b, "d", 0)
	b = wire.OptInt(b, "e", int64(0))
	b = wire.OptBool(b, "f", nil)
	b = wire.OptBool(b, "g", &yes)
	b = wire.Raw(b, "h", "1.50")
	b = wire.Raw(b, "i", "")
	b = append(wire.Name(b, "j"), '[')
	b = append(wire.Next(b), '1')
	b = append(wire.Next(b), "{}"...)
	b = append(wire.Next(b), "[]"...)
	b = append(b, "]}"...)
	if got, want := string(b), `{"a":"x\"\\\n\u0001","c":"y","d":0,"g":true,"h":1.50,"j":[1,{},[]]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOnlyOneObjectIsAnObject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{`{}`: true, ` {"a":1} `: true, `{}{}`: false, `[]`: false, ``: false, `{"a":1,"a":2}`: false, `{"a"`: false, "{\"a\":\"\xff\"}": false} {
		if got := wire.Object(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a\u2028\"\\\x00\xff世")
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		quoted := wire.Quote(nil, text)
		if err := json.Unmarshal(quoted, &got); err != nil || got != strings.ToValidUTF8(text, "\ufffd") && len(got) < len(text) {
			t.Fatalf("%q became %s: %q, %v", text, quoted, got, err)
		}
		back, ok := wire.Text(quoted)
		if !ok || back != got || string(wire.Quote(nil, []byte(text))) != string(quoted) {
			t.Fatalf("%s is read as %q", quoted, back)
		}
	})
}

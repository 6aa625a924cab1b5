package config

import (
	"strings"
	"testing"
)

// What was read is written back in quotes and must read the same.
func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{
		"A=b", "# x\n\nA = b", "A=\"b\\\"c\\\\\"", "A='b\"'", "export A=b", "A=b # c", "A=\"\"x", "\ufeffA=b\r\nB=c", "A=\x00", "=x", "A=\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := parseDotenv("f", text)
		var b strings.Builder
		for _, a := range list {
			if !isName(a.name) || strings.ContainsAny(a.value, "\n\x00") || a.line < 1 || a.column < 1 {
				t.Fatalf("%+v from %q", a, text)
			}
			b.WriteString(a.name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.value) + "\"\n")
		}
		again, wrong := parseDotenv("f", b.String())
		if len(wrong) > 0 || len(again) != len(list) {
			t.Fatalf("%q became %q: %v", text, b.String(), wrong)
		}
		for i := range list {
			if again[i].name != list[i].name || again[i].value != list[i].value {
				t.Fatalf("%q: %+v became %+v", text, list[i], again[i])
			}
		}
	})
}

func FuzzProviders(f *testing.F) {
	f.Add([]byte(`[{"id":"a","base_url":"http://x/v1","models":[{"id":"m","input_usd_per_million":"0.1"}]}]`))
	f.Add([]byte(`[{"id":1e999}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeProviders(data)
		if err == nil && len(list) > maxProviders {
			t.Fatal("too many were accepted")
		}
		for _, p := range list {
			for _, m := range p.Models {
				if m.Input != nil && (*m.Input < 0 || *m.Input > maxPrice) {
					t.Fatalf("price %d", *m.Input)
				}
			}
		}
	})
}

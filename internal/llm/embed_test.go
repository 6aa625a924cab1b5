package llm_test

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
)

func TestVectorsInBase64AreLittleEndian(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"[]": "", "[1]": "AACAPw==", "[ 1.0 ,\n-3e0]": "AACAPwAAQMA=", "[1e400]": "AACAfw==", "[1e-400]": "AAAAAA=="} {
		if got := string(llm.AppendBase64Vector(nil, jsontext.Value(text))); got != want || !llm.IsVector(jsontext.Value(text)) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "5", `"AACAPw=="`, `[1,"x"]`, "[[1]]", "[null]", "{}", "["} {
		if llm.IsVector(jsontext.Value(text)) {
			t.Errorf("%s is taken for a vector", text)
		}
	}
}

func TestUsesAddUp(t *testing.T) {
	t.Parallel()
	got := llm.Usage{Input: 1, CacheRead: 2, ImageInput: 3, Output: 4, Reported: true}.Plus(llm.Usage{Input: 10, AudioInput: 20, Output: math.MaxInt64, Suspect: true})
	if want := (llm.Usage{Input: 11, CacheRead: 2, ImageInput: 3, AudioInput: 20, Output: math.MaxInt64, Suspect: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A vector in base64 has the numbers that a decoder of JSON reads.
func FuzzVector(f *testing.F) {
	f.Add("[1,-2.5e-3, 0]")
	f.Add("[1e39]")
	f.Add(`["x"]`)
	f.Fuzz(func(t *testing.T, text string) {
		v := jsontext.Value(text)
		if !v.IsValid() || !strings.HasPrefix(text, "[") || !strings.HasSuffix(text, "]") || !llm.IsVector(v) {
			return
		}
		raw, err := base64.StdEncoding.DecodeString(string(llm.AppendBase64Vector(nil, v)))
		var want []jsontext.Value
		if err != nil || json.Unmarshal(v, &want) != nil || len(raw) != 4*len(want) {
			t.Fatalf("%q: %d bytes for %d numbers, %v", text, len(raw), len(want), err)
		}
		for i, w := range want {
			var n float64
			if json.Unmarshal(w, &n) != nil || math.Abs(n) > math.MaxFloat32/2 || n != 0 && math.Abs(n) < 1e-37 {
				continue
			}
			if got := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))); math.Abs(got-n) > math.Abs(n)*1e-6 {
				t.Errorf("%s became %g", w, got)
			}
		}
	})
}

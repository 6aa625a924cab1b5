package llm

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Grammar reports whether the format of a free-form tool restricts its text.
func Grammar(format jsontext.Value) bool {
	var f struct {
		Type string `json:"type"`
	}
	return len(format) > 0 && (json.Unmarshal(format, &f) != nil || f.Type != "text")
}

// FreeInput returns the text of a free-form tool out of the arguments of the
// function that stands for it.
func FreeInput(arguments string) string {
	var in struct {
		Input *string `json:"input"`
	}
	if json.Unmarshal([]byte(arguments), &in) != nil || in.Input == nil {
		return arguments
	}
	return *in.Input
}

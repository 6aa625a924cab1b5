package setting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/secret"
)

// Faults of the endpoints.
var (
	ErrCategory = fault.New(fault.NotFound, "not_found", "There is no such category of settings.")
	ErrVersion  = fault.New(fault.NotFound, "not_found", "The category has no such version.")
	ErrEdited   = fault.New(fault.PreconditionFailed, "edited_elsewhere", "Somebody has changed these settings since you read them. Read them again and repeat your change.")
	ErrWrong    = fault.New(fault.Unprocessable, "validation_error", "Some settings are wrong; details.fields lists them.")
)

// Wrong says what is wrong with a value.
type Wrong struct{ Name, Text string }

// Key is one setting of the type T.
type Key[T any] struct{ *def }

// Of returns the value that holds now.
func (k Key[T]) Of(s *Service) T {
	v, _ := s.now.Load().values[k.def].(T) // made by k.def, so it is one
	return v
}

// def is what is known of a setting.
type def struct {
	category, name, doc string
	kind                string // flag, whole, word, words, secret
	standard            any
	min, max            int64
	guarded             bool // a second person agrees to a change
	// read makes a value of JSON, or says what is wrong with it.
	read func(raw json.RawMessage) (any, string)
}

// defs are all settings, in the order of their declaration.
var defs []*def

func declare[T any](d def) Key[T] {
	defs = append(defs, &d)
	return Key[T]{&d}
}

func flag(category, name string, standard bool, doc string) Key[bool] {
	return declare[bool](def{category: category, name: name, doc: doc, kind: "flag", standard: standard, read: func(raw json.RawMessage) (any, string) {
		var v *bool
		if json.Unmarshal(raw, &v) != nil || v == nil {
			return nil, "must be true or false"
		}
		return *v, ""
	}})
}

func whole(category, name string, standard, low, high int64, doc string) Key[int64] {
	return declare[int64](def{category: category, name: name, doc: doc, kind: "whole", standard: standard, min: low, max: high, read: func(raw json.RawMessage) (any, string) {
		var v *int64
		if json.Unmarshal(raw, &v) != nil || v == nil || *v < low || *v > high {
			return nil, fmt.Sprintf("must be a whole number from %d to %d", low, high)
		}
		return *v, ""
	}})
}

// guarded is k for which a change needs a second person.
func guarded[T any](k Key[T]) Key[T] {
	k.guarded = true
	return k
}

func word(category, name, standard string, most int, check func(string) string, doc string) Key[string] {
	return declare[string](def{category: category, name: name, doc: doc, kind: "word", standard: standard, read: func(raw json.RawMessage) (any, string) {
		var v *string
		if json.Unmarshal(raw, &v) != nil || v == nil || len(*v) > most || strings.ContainsAny(*v, "\x00\r\n") {
			return nil, fmt.Sprintf("must be one line of at most %d bytes", most)
		}
		return *v, check(*v)
	}})
}

func words(category, name string, check func(string) string, doc string) Key[[]string] {
	return declare[[]string](def{category: category, name: name, doc: doc, kind: "words", standard: []string{}, read: func(raw json.RawMessage) (any, string) {
		v := []string{}
		if json.Unmarshal(raw, &v) != nil || v == nil || len(v) > 100 {
			return nil, "must be a list of at most 100 texts"
		}
		for _, one := range v {
			if text := check(one); text != "" || len(one) > 300 {
				return nil, fmt.Sprintf("each %s", text)
			}
		}
		return v, ""
	}})
}

func hidden(category, name, doc string) Key[secret.String] {
	return declare[secret.String](def{category: category, name: name, doc: doc, kind: "secret", standard: secret.String{}, read: func(raw json.RawMessage) (any, string) {
		var v *string
		if json.Unmarshal(raw, &v) != nil || v == nil || *v == "" || len(*v) > 1000 || strings.ContainsAny(*v, "\x00\r\n") {
			return nil, "must be one line of at most 1000 bytes, or null for none"
		}
		return secret.New(*v), ""
	}})
}

// sealedSecret is a secret as it is stored.
type sealedSecret struct {
	Sealed []byte `json:"sealed"`
	Hint   string `json:"hint"`
}

// hint is what may be shown of a secret: its end, if that leaves enough unknown.
func hint(text string) string {
	if len(text) < 12 {
		return ""
	}
	return text[len(text)-4:]
}

// Fixed says that the environment decides a setting.
type Fixed struct {
	Category, Name string
	Value          any
}

// Category is what is shown of a category.
type Category struct {
	Name      string
	Version   int64 // 0: nothing was ever changed
	ChangedBy string
	ChangedAt time.Time
	Settings  []Shown
}

// Shown is a setting as it is shown.
type Shown struct {
	Name, Doc, Kind string
	Value, Default  any // of a secret {"set":…,"hint":…} and null
	Origin          string
	ReadOnly        bool
}

// Origins of a value.
const (
	FromDefault     = "default"
	FromDatabase    = "database"
	FromEnvironment = "environment"
)

// Change is one version of a category.
type Change struct {
	Version   int64
	ChangedBy string
	ChangedAt time.Time
	Reason    string
	Values    map[string]any // secrets as they are shown
}

// Categories lists the names there are, in order.
func Categories() []string {
	var out []string
	for _, d := range defs {
		if !slices.Contains(out, d.category) {
			out = append(out, d.category)
		}
	}
	return out
}

func defsOf(category string) []*def {
	return slices.DeleteFunc(slices.Clone(defs), func(d *def) bool { return d.category != category })
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

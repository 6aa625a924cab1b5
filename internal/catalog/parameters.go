package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Constraints are what a model takes of each parameter, by its name.
type Constraints map[string]Constraint

// Unsupported says what becomes of a parameter that a model does not take.
type Unsupported string

// What becomes of it.
const (
	Drop   Unsupported = "drop"
	Reject Unsupported = "reject"
)

// Constraint is what a model takes of one parameter. The zero value takes all.
type Constraint struct {
	// Unsupported refuses the parameter, or leaves it out; empty takes it.
	Unsupported Unsupported `json:"onUnsupported,omitempty"`
	// Rename is what the vendor calls it.
	Rename string `json:"rename,omitempty"`
	// Min and Max bound a number; both ends are allowed.
	Min *json.Number `json:"min,omitempty"`
	Max *json.Number `json:"max,omitempty"`
	// Allowed are the values that are possible: strings, numbers, booleans.
	Allowed []json.RawMessage `json:"allowedValues,omitempty"`
	// Default is sent when the client states none.
	Default json.RawMessage `json:"default,omitempty"`
	// Excludes names parameters that cannot be sent together with this one.
	Excludes []string `json:"mutuallyExclusiveWith,omitempty"`
	// MaxItems bounds a list; 0 is no bound.
	MaxItems int64 `json:"maxItems,omitempty"`
}

const (
	maxConstraints = 100
	maxAllowed     = 100
	maxDefault     = 4096 // bytes
)

var parameterName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// priced parameters are the gateway's own: they decide what a call costs and
// where it goes, so no constraint may change them.
var priced = []string{"model", "messages", "input", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "max_output_tokens", "tools"}

// Defaults are the names of the parameters that have one, in order.
func (c Constraints) Defaults() []string {
	var out []string
	for name, one := range c {
		if one.Default != nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (c Constraints) check() error {
	if len(c) > maxConstraints {
		return wrong("parameters", "at most %d are possible", maxConstraints)
	}
	for name, one := range c {
		if !parameterName.MatchString(name) || slices.Contains(priced, name) {
			return wrong("parameters", "%q is not the name of a parameter that can be constrained", name)
		}
		if err := one.check(name, c); err != nil {
			return err
		}
	}
	return nil
}

func (c Constraint) check(name string, all Constraints) error {
	bad := func(format string, args ...any) error {
		return wrong("parameters."+name, "%s", fmt.Sprintf(format, args...))
	}
	if c.Unsupported != "" && c.Unsupported != Drop && c.Unsupported != Reject {
		return bad("onUnsupported is drop or reject")
	}
	if c.Rename != "" && (!parameterName.MatchString(c.Rename) || slices.Contains(priced, c.Rename)) {
		return bad("%q is not a name it can be sent under", c.Rename)
	}
	least, hasLeast, ok := bound(c.Min)
	most, hasMost, ok2 := bound(c.Max)
	if !ok || !ok2 {
		return bad("min and max are numbers")
	}
	if hasLeast && hasMost && least > most {
		return bad("min is above max")
	}
	if len(c.Allowed) > maxAllowed || c.MaxItems < 0 {
		return bad("it has more than %d allowed values, or fewer than 0 items", maxAllowed)
	}
	for _, v := range c.Allowed {
		if !scalar(v) {
			return bad("an allowed value is a string, a number or a boolean")
		}
	}
	for _, other := range c.Excludes {
		if other == name || !parameterName.MatchString(other) {
			return bad("%q cannot exclude it", other)
		}
		if c.Default != nil && all[other].Default != nil {
			return bad("it and %q exclude each other and both have a default", other)
		}
	}
	if c.Default == nil {
		return nil
	}
	if len(c.Default) > maxDefault || !json.Valid(c.Default) {
		return bad("the default is not JSON of at most %d bytes", maxDefault)
	}
	if c.Unsupported != "" {
		return bad("what is not supported has no default")
	}
	if problem := c.Refuses(c.Default); problem != "" {
		return bad("the default is not allowed: %s", problem)
	}
	return nil
}

// number reads a JSON number as vendors do, with the precision of a double.
func number(text []byte) (float64, bool) {
	const longest = 64
	if len(text) == 0 || len(text) > longest || text[0] != '-' && (text[0] < '0' || text[0] > '9') || !json.Valid(text) {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(text), 64)
	return n, err == nil
}

// bound is number for an end of a range that may be open.
func bound(n *json.Number) (value float64, set, ok bool) {
	if n == nil {
		return 0, false, true
	}
	value, ok = number([]byte(*n))
	return value, true, ok
}

func scalar(v []byte) bool {
	if !json.Valid(v) {
		return false
	}
	switch v[0] {
	case '{', '[', 'n':
		return false
	}
	return true
}

// Refuses says what is wrong with a value, as the end of a sentence; empty when
// nothing is. A null is no value, so it is never wrong.
func (c Constraint) Refuses(value []byte) string {
	if string(value) == "null" {
		return ""
	}
	if c.Min != nil || c.Max != nil {
		n, ok := number(value)
		least, hasLeast, _ := bound(c.Min)
		most, hasMost, _ := bound(c.Max)
		switch {
		case !ok:
			return "it must be a number"
		case n >= least && n <= most && hasLeast && hasMost:
		case hasLeast && hasMost:
			return fmt.Sprintf("it must be from %s to %s", *c.Min, *c.Max)
		case hasLeast && n < least:
			return fmt.Sprintf("it must be at least %s", *c.Min)
		case hasMost && n > most:
			return fmt.Sprintf("it must be at most %s", *c.Max)
		}
	}
	if len(c.Allowed) > 0 && !slices.ContainsFunc(c.Allowed, func(a json.RawMessage) bool { return sameScalar(a, value) }) {
		return "it must be one of " + listed(c.Allowed)
	}
	if c.MaxItems > 0 && len(value) > 0 && value[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil || int64(len(items)) > c.MaxItems {
			return fmt.Sprintf("it has at most %d entries", c.MaxItems)
		}
	}
	return ""
}

// sameScalar compares values: 1 and 1.0 are the same, and so are "a" and
// "\u0061".
func sameScalar(a, b []byte) bool {
	n, ok := number(a)
	if m, ok2 := number(b); ok && ok2 {
		return n == m
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && simple(x) && simple(y) && x == y
}

func simple(v any) bool {
	switch v.(type) {
	case string, bool:
		return true
	}
	return false
}

func listed(values []json.RawMessage) string {
	var out strings.Builder
	for i, v := range values {
		if i > 0 {
			out.WriteString(", ")
		}
		out.Write(v)
	}
	return out.String()
}

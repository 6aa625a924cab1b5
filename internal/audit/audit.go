package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Outcome says how something ended.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // it was not allowed
	Failed  Outcome = "failed"  // as a sign-in with a wrong password
)

// Change is something that is to be remembered. Who did it, and from where, is
// what the context carries.
type Change struct {
	Action string // a dotted word, as "credits.grant"
	Type   string // of what it was done to, as "user"
	ID     string // of that
	Reason string // in the words of who did it
	// Outcome is Done when empty.
	Outcome Outcome
	// Actor replaces who the context carries.
	Actor string
	// Before and After marshal to JSON objects, or are nil. Fields that are the
	// same in both are left out.
	Before, After any
	// Personal are names of fields that tell who Person, a user, is.
	Personal []string
	Person   string
}

// Entry is a row as administrators read it.
type Entry struct {
	Seq                int64
	At                 time.Time
	Actor              string
	Roles              []string
	Action             string
	Type, ID           string
	Outcome            Outcome
	Reason, RequestID  string
	IP, Client         string // "" when not known, or erased
	Before, After      map[string]json.RawMessage
	Record, Prev, Hash string // what the chain is made of
}

// Bounds of what is stored.
const (
	maxWord   = 200
	maxReason = 500
	maxFields = 16 << 10
)

// word returns text as it is stored: bounded, without what databases and
// terminals do not take.
func word(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > most {
		r := []rune(text)
		text = string(r[:len(r)*most/len(text)])
	}
	return text
}

// mark stands for a secret.
var mark = json.RawMessage(`"[secret]"`)

// secretive reports whether a field with this name holds a secret.
func secretive(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"password", "secret", "token", "apikey", "api_key", "privatekey", "private_key", "recoverycode", "authorization", "credential"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return name == "key" || name == "code" || name == "codes" || name == "seed"
}

// clean replaces the secrets inside of v, whatever their depth.
func clean(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if secretive(name) && value != nil && value != false && value != true {
				v[name] = mark
			} else {
				v[name] = clean(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
	}
	return v
}

type fields map[string]any

// fieldsOf returns the members of a value that marshals to an object.
func fieldsOf(v any) (fields, error) {
	if r := reflect.ValueOf(v); !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	m, ok := value.(map[string]any)
	if !ok && value != nil {
		m = map[string]any{"value": value}
	}
	return m, nil
}

// difference is the fields of a change.
type difference struct {
	Before fields `json:"before,omitempty"`
	After  fields `json:"after,omitempty"`
}

// differ returns what a change changed: fields that anybody may keep, and those
// that are about its person. Secrets that changed still show as a change.
func (c Change) differ() (open, personal difference, err error) {
	before, err := fieldsOf(c.Before)
	if err != nil {
		return open, personal, fmt.Errorf("audit %s: before: %w", c.Action, err)
	}
	after, err := fieldsOf(c.After)
	if err != nil {
		return open, personal, fmt.Errorf("audit %s: after: %w", c.Action, err)
	}
	for name, v := range before {
		if w, ok := after[name]; ok && reflect.DeepEqual(v, w) {
			delete(before, name)
			delete(after, name)
		}
	}
	clean(map[string]any(before))
	clean(map[string]any(after))
	open = difference{before, after}
	if c.Person == "" {
		return open, personal, nil
	}
	personal = difference{fields{}, fields{}}
	for _, name := range c.Personal {
		move(before, personal.Before, name)
		move(after, personal.After, name)
	}
	return open, personal, nil
}

func move(from, to fields, name string) {
	if v, ok := from[name]; ok {
		to[name] = v
		delete(from, name)
	}
}

func (d difference) empty() bool { return len(d.Before) == 0 && len(d.After) == 0 }

// canonical returns v as JSON with sorted names and without spaces.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// text returns d as it is stored; what is too long is replaced by its names.
func (d difference) text() (string, error) {
	b, err := canonical(d)
	if err != nil || len(b) <= maxFields {
		return string(b), err
	}
	short := difference{d.Before.names(), d.After.names()}
	if b, err = canonical(short); err == nil && len(b) > maxFields {
		b, err = canonical(difference{After: fields{"truncated": true}})
	}
	return string(b), err
}

func (f fields) names() fields {
	out := fields{"truncated": true}
	for name := range f {
		out[word(name, maxWord)] = "…"
	}
	return out
}

package config

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rephlo/rephlo/internal/secret"
)

const masked = "[redacted]"

// Shown returns the setting's value as it would be written, with secrets
// masked: of a URL the password, of anything else all.
func (c Config) Shown(s Setting) string {
	switch v := c.value(s).(type) {
	case secret.String:
		return show(s, v)
	case []string:
		return strings.Join(v, ",")
	case time.Duration:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

func show(s Setting, v secret.String) string {
	if v.Empty() {
		return ""
	}
	u, err := url.Parse(v.Reveal())
	if s.Kind != "database" || err != nil {
		return masked
	}
	// What follows the name can hold a password too (?password=…).
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

// Print writes the effective settings, one a line, secrets masked; with origin
// also where each came from.
func (c Config) Print(w io.Writer, origin bool) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range Settings() {
		line := s.Name + " =\t" + c.Shown(s)
		if origin {
			line += "\t# " + c.Origin(s.Name).String()
		}
		if _, err := fmt.Fprintln(t, line); err != nil {
			return err
		}
	}
	return t.Flush()
}

// printed is one setting in the JSON form of Print.
type printed struct {
	Name   string  `json:"name"`
	Value  string  `json:"value"`
	Origin *Origin `json:"origin,omitempty"`
}

// PrintJSON writes what Print writes as {"settings":[…]}.
func (c Config) PrintJSON(w io.Writer, origin bool) error {
	out := struct {
		Settings []printed `json:"settings"`
	}{}
	for _, s := range Settings() {
		p := printed{Name: s.Name, Value: c.Shown(s)}
		if origin {
			o := c.Origin(s.Name)
			p.Origin = &o
		}
		out.Settings = append(out.Settings, p)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/secret"
)

// Setting describes one setting: what its field's tags say.
type Setting struct {
	Name    string // api_addr
	Kind    string
	Default string // as it would be written; empty for none
	Derived string // how the default follows from other settings
	Help    string // whole sentences
	Example string
	Alias   string   // another name in the environment and the file
	Values  []string // of an enum
	Max     string   // the largest number or duration
	Common  bool     // shown in the help of commands
	index   int
}

// Prefix begins the name of every setting in the environment.
const Prefix = "REPHLO_"

// Env returns the name in the environment and in the file.
func (s Setting) Env() string { return Prefix + strings.ToUpper(s.Name) }

// Flag returns the name on the command line, without dashes, or "" when there
// is none because arguments are visible to other users of the machine.
func (s Setting) Flag() string {
	if s.Kind == "secret" {
		return ""
	}
	return strings.ReplaceAll(s.Name, "_", "-")
}

// Secret reports whether the value may be read from a file named by
// NAME_FILE and is masked in every output.
func (s Setting) Secret() bool {
	return s.Kind == "secret" || s.Kind == "database" || s.Kind == "redis"
}

// FileFlag returns the flag that names a file with the value, for a secret.
func (s Setting) FileFlag() string {
	if !s.Secret() {
		return ""
	}
	return strings.ReplaceAll(s.Name, "_", "-") + "-file"
}

// Settings lists every setting in the order of Config's fields.
var Settings = sync.OnceValue(func() []Setting {
	var out []Setting
	for i, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name, ok := f.Tag.Lookup("setting")
		if !ok {
			continue
		}
		s := Setting{
			Name: name, Kind: f.Tag.Get("kind"), Default: f.Tag.Get("default"), Derived: f.Tag.Get("derived"),
			Help: f.Tag.Get("help"), Example: f.Tag.Get("example"), Alias: f.Tag.Get("alias"), Max: f.Tag.Get("max"),
			Common: f.Tag.Get("flag") == "common", index: i,
		}
		if list := f.Tag.Get("enum"); list != "" {
			s.Values = strings.Split(list, ",")
		}
		out = append(out, s)
	}
	return out
})

// set parses text into the setting's field of c. The error is a sentence for
// the operator and has the value in it only when that is no secret.
func (s Setting) set(c *Config, text string) error {
	v, err := s.parse(text)
	if err != nil {
		return err
	}
	reflect.ValueOf(c).Elem().Field(s.index).Set(reflect.ValueOf(v))
	return nil
}

func (s Setting) parse(text string) (any, error) {
	switch s.Kind {
	case "addr_or_off":
		if text == Off {
			return text, nil
		}
		return parseAddr(text)
	case "addr":
		return parseAddr(text)
	case "origin":
		return parseOrigin(text)
	case "base":
		return parseBase(text)
	case "origins":
		return parseOrigins(text)
	case "database":
		return parseDatabase(text)
	case "redis":
		return parseRedis(text)
	case "secret":
		if strings.ContainsAny(text, " \t\r\n") {
			return nil, fmt.Errorf("the value has blanks or line ends in it; check how it was copied")
		}
		return secret.New(text), nil
	case "bool":
		return parseBool(text)
	case "int":
		return s.parseInt(text)
	case "duration":
		return s.parseDuration(text)
	case "mailbox":
		if _, err := mail.ParseAddress(text); err != nil {
			return nil, fmt.Errorf("%q is not a sender like Rephlo <no-reply@example.com>", text)
		}
		return text, nil
	case "enum":
		if !slices.Contains(s.Values, text) {
			return nil, fmt.Errorf("%q is not possible; write %s", text, strings.Join(s.Values, " or "))
		}
		return text, nil
	}
	return text, nil // a path or other text
}

func parseAddr(text string) (any, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address; write host:port, for example 127.0.0.1:7150 or :7150", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("the port %q is not a number from 0 to 65535", port)
	}
	return text, nil
}

// parseOrigin takes an absolute http(s) address without a path: with one, it
// could not stand as an issuer or an audience.
func parseOrigin(text string) (any, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || !isHTTP(u) || u.Path != "" {
		return nil, fmt.Errorf("%q is not an address like https://api.example.com, without a path", text)
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), nil
}

func parseBase(text string) (any, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || !isHTTP(u) {
		return nil, fmt.Errorf("%q is not an address like https://api.openai.com/v1", text)
	}
	return u.String(), nil
}

func isHTTP(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && u.Opaque == ""
}

func parseOrigins(text string) (any, error) {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "*" {
			return nil, fmt.Errorf("* would let every site read answers; list the sites")
		}
		o, err := parseOrigin(part)
		if err != nil || o != part {
			return nil, fmt.Errorf("%q is not what a browser sends as Origin; write https://app.example.com, in small letters, without a slash at the end", part)
		}
		out = append(out, part)
	}
	return out, nil
}

func parseDatabase(text string) (any, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("the database must be written as postgres://user:password@host/name; leave it out for SQLite")
	}
	return secret.New(text), nil
}

func parseRedis(text string) (any, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return nil, fmt.Errorf("it must be written as redis://user:password@host:6379/0, or rediss:// for TLS")
	}
	return secret.New(text), nil
}

func parseBool(text string) (any, error) {
	switch text {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return nil, fmt.Errorf("%q is not possible; write true or false", text)
}

func (s Setting) parseInt(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	limit, _ := strconv.ParseInt(s.Max, 10, 64) // ours; a test reads every tag
	if err != nil || n < 0 || n > limit {
		return nil, fmt.Errorf("%q is not a whole number from 0 to %d", text, limit)
	}
	return n, nil
}

func (s Setting) parseDuration(text string) (any, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return nil, fmt.Errorf("%q has no unit; write %ss or %sm", text, text, text)
	}
	limit, _ := time.ParseDuration(s.Max) // ours; a test reads every tag
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > limit {
		return nil, fmt.Errorf("%q is not a time from 0s to %s; write it like 500ms, 30s or 2m", text, s.Max)
	}
	return d, nil
}

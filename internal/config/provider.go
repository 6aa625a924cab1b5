package config

import (
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/secret"
)

// Provider is a service that speaks the protocol of OpenAI or of Anthropic, as
// providers_file lists it.
type Provider struct {
	ID      string `json:"id"` // stable; letters, digits, - and _
	Name    string `json:"name"`
	Vendor  string `json:"vendor"`   // azure, anthropic, google, or empty for OpenAI's protocol
	BaseURL string `json:"base_url"` // up to and with /v1
	// APIKey is empty for services without one. APIKeyFile and APIKeyEnv are
	// other places to read it from.
	APIKey     secret.String `json:"api_key"`
	APIKeyFile string        `json:"api_key_file"`
	APIKeyEnv  string        `json:"api_key_env"`
	// AllowPrivate permits addresses of the own machine and network.
	AllowPrivate bool              `json:"allow_private"`
	Headers      map[string]string `json:"headers"`
	// NoStreamUsage says that the service does not know stream_options.
	NoStreamUsage bool `json:"no_stream_usage"`
	// Drain reads a stream on when its client has left, for services that bill
	// it to its end.
	Drain        bool    `json:"drain"`
	MaxTokensKey string  `json:"max_tokens_key"` // empty: max_tokens
	APIVersion   string  `json:"api_version"`    // Azure: the dated version; empty: v1
	Models       []Model `json:"models"`
}

// Model is one model of a Provider.
type Model struct {
	ID              string `json:"id"`           // what clients call it
	VendorModel     string `json:"vendor_model"` // what the provider calls it; empty: the same
	Name            string `json:"name"`
	ContextLength   int64  `json:"context_length"`    // tokens; 0: unknown
	MaxOutputTokens int64  `json:"max_output_tokens"` // 0: unknown
	// Capabilities are words such as text, vision, function_calling, reasoning
	// and json_schema; empty: text.
	Capabilities []string `json:"capabilities"`
	// Prices of a million tokens. Input and Output must be written, also when
	// they are "0"; without CachedInput the price of input holds.
	Input       *MicroUSD `json:"input_usd_per_million"`
	Output      *MicroUSD `json:"output_usd_per_million"`
	CachedInput *MicroUSD `json:"cached_input_usd_per_million"`
	// Priority orders the providers that have the same model, lower first; 0: as
	// they are listed. Weight is the share among those of one priority; 0: 1.
	Priority  int64      `json:"priority"`
	Weight    int64      `json:"weight"`
	Fallbacks []Fallback `json:"fallbacks"`
}

// Fallback is another model that may answer when a model fails.
type Fallback struct {
	Model string   `json:"model"`
	On    []string `json:"on"` // empty: overloaded, server, timeout, rate
}

// MicroUSD is a millionth of a US dollar, written as a decimal string like
// "0.15" because binary fractions are not exact.
type MicroUSD int64

var errPrice = errors.New(`write US dollars like "0.15", with at most 6 decimals`)

// maxPrice is the largest price of a million tokens that is believed.
const maxPrice = 100_000 * 1_000_000

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MicroUSD) UnmarshalText(b []byte) error {
	whole, fraction, _ := strings.Cut(string(b), ".")
	n, err := strconv.ParseUint(whole+(fraction + "000000")[:max(6, len(fraction))], 10, 63)
	if err != nil || len(fraction) > 6 || whole == "" || n > maxPrice {
		return errPrice
	}
	*m = MicroUSD(n)
	return nil
}

// maxProviders and maxModels bound what a file may list.
const (
	maxProviders = 50
	maxModels    = 500
)

// providers reads providers_file into the Config.
func (l *loader) providers() {
	path := l.c.ProvidersFile
	text, err := readSmall(path)
	if err != nil {
		l.wrong.add("providers_file", "%s", err)
		return
	}
	list, err := decodeProviders([]byte(text))
	if err != nil {
		l.wrong.add(path, "%s", err)
		return
	}
	l.c.Providers = list
	ids := map[string]bool{"openai": true, "anthropic": true, "google": true, "test": true}
	for i := range list {
		l.provider(path, fmt.Sprintf("/%d", i), &list[i], ids)
	}
}

// decodeProviders reads the list strictly: no unknown, doubled or misspelt
// names. Its errors name the field and never a value.
func decodeProviders(data []byte) ([]Provider, error) {
	var list []Provider
	err := json.Unmarshal(data, &list, json.RejectUnknownMembers(true))
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(err, json.ErrUnknownName) {
			return nil, fmt.Errorf("%s: there is no field of that name; docs/configuration.md lists them", e.JSONPointer)
		}
		if errors.Is(err, errPrice) {
			return nil, fmt.Errorf("%s: %w", e.JSONPointer, errPrice)
		}
		return nil, fmt.Errorf("%s: the value has the wrong form (a JSON %s cannot stand here)", e.JSONPointer, kindName(e.JSONKind))
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return nil, fmt.Errorf("%s: not valid JSON at byte %d, or a doubled name", e.JSONPointer, e.ByteOffset)
	}
	if err == nil && len(list) > maxProviders {
		return nil, fmt.Errorf("%d providers are listed; at most %d are possible", len(list), maxProviders)
	}
	return list, err
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "array"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "boolean"
	case jsontext.KindNumber:
		return "number"
	case jsontext.KindNull:
		return "null"
	}
	return "string"
}

// provider checks one provider and reads its key.
func (l *loader) provider(file, at string, p *Provider, ids map[string]bool) {
	wrong := func(field, format string, args ...any) { l.wrong.add(file+": "+at+field, format, args...) }
	switch {
	case !isID(p.ID):
		wrong("/id", "write a short name of small letters, digits, - and _")
	case ids[p.ID]:
		wrong("/id", "%q is taken; each provider needs its own id", p.ID)
	}
	ids[p.ID] = true
	switch p.Vendor {
	case "", "compat", "azure", "anthropic", "google":
	default:
		wrong("/vendor", "write azure, anthropic or google, or leave it out for the OpenAI protocol")
	}
	base, err := parseBase(p.BaseURL)
	if err != nil {
		wrong("/base_url", "%s", err)
	} else if base, ok := base.(string); ok {
		p.BaseURL = base
	}
	for name := range p.Headers {
		if textproto.CanonicalMIMEHeaderKey(name) == "Authorization" {
			wrong("/headers", "put the key into api_key, api_key_file or api_key_env, not into a header")
		}
	}
	l.providerKey(p, wrong)
	if len(p.Models) == 0 || len(p.Models) > maxModels {
		wrong("/models", "list from 1 to %d models", maxModels)
	}
	models := map[string]bool{}
	for i, m := range p.Models {
		at := fmt.Sprintf("/models/%d", i)
		switch {
		case m.ID == "" || len(m.ID) > 128:
			wrong(at+"/id", "write what clients call the model, at most 128 characters")
		case models[m.ID]:
			wrong(at+"/id", "%q is listed twice", m.ID)
		}
		models[m.ID] = true
		if m.Input == nil || m.Output == nil {
			wrong(at, `write input_usd_per_million and output_usd_per_million; "0" for a model that costs nothing`)
		}
		if m.ContextLength < 0 || m.MaxOutputTokens < 0 {
			wrong(at, "context_length and max_output_tokens cannot be negative")
		}
	}
}

// providerKey takes the key from the one place that is named.
func (l *loader) providerKey(p *Provider, wrong func(field, format string, args ...any)) {
	named := 0
	for _, set := range []bool{!p.APIKey.Empty(), p.APIKeyFile != "", p.APIKeyEnv != ""} {
		if set {
			named++
		}
	}
	switch {
	case named > 1:
		wrong("/api_key", "name one of api_key, api_key_file and api_key_env")
	case p.APIKeyFile != "":
		text, err := readSmall(p.APIKeyFile)
		if err != nil {
			wrong("/api_key_file", "%s", err)
		}
		p.APIKey = secret.New(strings.TrimSpace(text))
	case p.APIKeyEnv != "":
		p.APIKey = secret.New(os.Getenv(p.APIKeyEnv))
		if p.APIKey.Empty() {
			wrong("/api_key_env", "%s is not set in the environment", p.APIKeyEnv)
		}
	}
}

func isID(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

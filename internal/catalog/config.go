package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
)

// ProviderConfig is a provider as the operator configures it.
type ProviderConfig struct {
	Name         string
	Vendor       string // one of Vendors
	BaseURL      string // with the version, as in https://api.openai.com/v1
	Key          secret.String
	AllowPrivate bool // the address may be in a private network
	Options      Options
	Models       []ModelConfig
}

// ModelConfig is one model of a provider. Where several providers have the
// same ID the first is the first route, and its facts about the model count.
type ModelConfig struct {
	ID            string
	VendorModel   string // empty: the ID
	Name          string // empty: the ID
	ContextLength int64
	MaxOutput     int64
	Capabilities  []string // empty: text
	Parameters    []string
	Prices        pricing.Prices
	Source        string // where the prices are from; empty: configuration
	// Priority orders the providers of one model, lower first; 0: as they are
	// listed. Weight is the share among those of one priority; 0: 1.
	Priority, Weight int64
	// Fallbacks are the models that may answer instead, in this order.
	Fallbacks []Fallback
}

var errConfig = errors.New("providers")

// Vendors are the protocols that a provider may speak.
var Vendors = []string{"openai", "azure", "anthropic", "google", "compat"}

var (
	apiVersion   = regexp.MustCompile(`^20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview)?$`)
	modelID      = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)
	providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
)

// checkAll says what is wrong with a configuration.
func checkAll(all []ProviderConfig) error {
	names := map[string]bool{TestProvider: true}
	for _, p := range all {
		if names[p.Name] {
			return fmt.Errorf("%w: the name %q is taken", errConfig, p.Name)
		}
		names[p.Name] = true
		if err := p.check(); err != nil {
			return fmt.Errorf("%w: %s: %w", errConfig, p.Name, err)
		}
	}
	return checkFallbacks(all)
}

// checkFallbacks says which model falls back to one that is nowhere.
func checkFallbacks(all []ProviderConfig) error {
	known := map[string]bool{}
	for _, p := range append(slices.Clip(all), testProvider()) {
		for _, m := range p.Models {
			known[m.ID] = true
		}
	}
	for _, p := range all {
		for _, m := range p.Models {
			for _, f := range m.Fallbacks {
				if !known[f.Model] {
					return fmt.Errorf("%w: %s: model %q falls back to %q, which no provider has", errConfig, p.Name, m.ID, f.Model)
				}
			}
		}
	}
	return nil
}

func (p ProviderConfig) check() error {
	if !providerName.MatchString(p.Name) {
		return errors.New("a name has 1 to 40 lower-case letters, digits and hyphens")
	}
	if !slices.Contains(Vendors, p.Vendor) {
		return fmt.Errorf("vendor %q is none of %s", p.Vendor, strings.Join(Vendors, ", "))
	}
	if v := p.Options.APIVersion; v != "" && (p.Vendor != "azure" || !apiVersion.MatchString(v)) {
		return errors.New("apiVersion is for the vendor azure alone, and written like 2024-10-21 or 2025-04-01-preview")
	}
	u, err := url.Parse(p.BaseURL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("baseUrl is not an address like https://host/v1")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !p.AllowPrivate) {
		return errors.New("baseUrl must be https, or http together with allowPrivate")
	}
	for name, value := range p.Options.Headers {
		if name == "" || strings.ContainsAny(name+value, "\r\n\x00") || strings.EqualFold(name, "authorization") || strings.EqualFold(name, "api-key") {
			return fmt.Errorf("header %q cannot be set", name)
		}
	}
	seen, priced := map[string]bool{}, map[string]string{}
	for _, m := range p.Models {
		if seen[m.ID] {
			return fmt.Errorf("model %q is there twice", m.ID)
		}
		seen[m.ID] = true
		if err := m.check(); err != nil {
			return fmt.Errorf("model %q: %w", m.ID, err)
		}
		prices, err := json.Marshal(m.Prices)
		if err != nil {
			return err
		}
		if other, ok := priced[m.vendorModel()]; ok && other != string(prices) {
			return fmt.Errorf("vendorModel %q has two prices", m.vendorModel())
		}
		priced[m.vendorModel()] = string(prices)
	}
	return nil
}

func (m ModelConfig) check() error {
	if !modelID.MatchString(m.ID) {
		return errors.New("an id has 1 to 100 lower-case letters, digits, dots, hyphens and underscores")
	}
	if strings.HasPrefix(m.ID, "test-") {
		return errors.New("ids that begin with test- belong to the built-in models")
	}
	if len(m.VendorModel) > 200 || strings.ContainsAny(m.VendorModel, "\"\\\r\n\x00") {
		return errors.New("vendorModel has characters that no model id has")
	}
	if m.MaxOutput <= 0 || m.MaxOutput > maxTokens || m.ContextLength < 0 || m.ContextLength > maxTokens {
		return errors.New("maxOutput must be above 0, and contextLength not below it; both in tokens")
	}
	if m.Priority < 0 || m.Priority > maxPriority || m.Weight < 0 || m.Weight > maxPriority {
		return fmt.Errorf("priority and weight must be from 0 to %d", maxPriority)
	}
	if err := m.checkFallbacks(); err != nil {
		return err
	}
	return m.Prices.Check()
}

func (m ModelConfig) checkFallbacks() error {
	if len(m.Fallbacks) > maxFallbacks {
		return fmt.Errorf("at most %d fallbacks are possible", maxFallbacks)
	}
	for i, f := range m.Fallbacks {
		if !modelID.MatchString(f.Model) || f.Model == m.ID {
			return fmt.Errorf("fallback %q is not the id of another model", f.Model)
		}
		for _, other := range m.Fallbacks[:i] {
			if other.Model == f.Model {
				return fmt.Errorf("fallback %q is there twice", f.Model)
			}
		}
		for _, c := range f.On {
			if !slices.Contains(Causes, c) {
				return fmt.Errorf("fallback %q: %q is none of %v", f.Model, c, Causes)
			}
		}
	}
	return nil
}

const (
	maxFallbacks = 5
	maxPriority  = 1_000_000
)

// maxTokens bounds the sizes of models, so that no product of them overflows.
const maxTokens = 100_000_000

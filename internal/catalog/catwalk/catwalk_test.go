package catwalk_test

import (
	"reflect"
	"testing"

	"github.com/rephlo/rephlo/internal/catalog/catwalk"
	"github.com/rephlo/rephlo/internal/pricing"
)

func TestColumnsBecomePrices(t *testing.T) {
	t.Parallel()
	at := pricing.At
	for _, tt := range []struct {
		name                       string
		in, out, inCached, outRead float64
		want                       *pricing.Prices
	}{
		{"both are unknown", 0, 0, 1, 1, nil},
		{"rounded", 0.39999999999999997, 1.6, 0, 0, &pricing.Prices{Input: 400_000, Output: 1_600_000}},
		{"by the convention", 3, 15, 3.75, 0.3, &pricing.Prices{Input: 3_000_000, Output: 15_000_000, CacheWrite: at(3_750_000), CacheRead: at(300_000)}},
		{"the read price in the first column", 1.25, 10, 0.125, 0, &pricing.Prices{Input: 1_250_000, Output: 10_000_000, CacheRead: at(125_000)}},
		{"the second column wins", 1.25, 10, 0.5, 0.125, &pricing.Prices{Input: 1_250_000, Output: 10_000_000, CacheRead: at(125_000)}},
		{"a read as dear as the input is none", 1, 2, 0, 1, &pricing.Prices{Input: 1_000_000, Output: 2_000_000}},
		{"a write as dear as the input", 1, 2, 1, 0, &pricing.Prices{Input: 1_000_000, Output: 2_000_000, CacheWrite: at(1_000_000)}},
	} {
		if got := catwalk.Row(tt.in, tt.out, tt.inCached, tt.outRead); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestTheListHasPricesThatCanBeWritten(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{"openai", "anthropic", "gemini", "groq", "xai"} {
		offers, err := catwalk.Offers(provider)
		if err != nil || len(offers) == 0 {
			t.Fatalf("%s: %d models, %v", provider, len(offers), err)
		}
		priced := 0
		for _, o := range offers {
			if o.Prices == nil {
				continue
			}
			priced++
			if err := o.Prices.Check(); err != nil {
				t.Errorf("%s: %v", o.Model, err)
			}
			if provider == "anthropic" && o.Prices.CacheWriteLong.Or(0) != 2*o.Prices.Input {
				t.Errorf("%s: an hour of cache costs %v", o.Model, o.Prices.CacheWriteLong)
			}
		}
		if priced == 0 {
			t.Errorf("%s: no prices", provider)
		}
	}
	if offers, err := catwalk.Offers("bedrock"); err != nil || len(offers) != 0 {
		t.Errorf("bedrock: %d models, %v", len(offers), err)
	}
}

package pricing_test

import (
	"testing"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

var pictures = pricing.Prices{
	Image: pricing.At(99_000_000_000),
	ImageBy: []pricing.ImagePrice{
		{Size: "1024x1024", Quality: "low", Price: 10_000_000_000},
		{Size: "1024x1024", Quality: "high", Price: 80_000_000_000},
		{Quality: "low", Price: 20_000_000_000},
	},
}

// What a caller leaves open costs the dearest that may come of it.
func TestAnImageHasThePriceOfItsSizeAndQuality(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size, quality string
		want          money.Price
	}{
		{"1024x1024", "low", 10_000_000_000},
		{"1024x1024", "high", 80_000_000_000},
		{"1024x1024", "", 80_000_000_000},
		{"1024x1024", "auto", 80_000_000_000},
		{"512x512", "low", 20_000_000_000},
		{"512x512", "high", 99_000_000_000},
		{"", "", 80_000_000_000},
	} {
		got, ok := pictures.ForImage(tt.size, tt.quality)
		if !ok || got.Image.Or(-1) != tt.want || got.ImageBy != nil {
			t.Errorf("%s %s: %d, %v; want %d", tt.size, tt.quality, got.Image.Or(-1), ok, tt.want)
		}
	}
	if _, ok := (pricing.Prices{Input: 5, Output: 7}).ForImage("", ""); ok {
		t.Error("a model of text has a price of images")
	}
}

func TestUnitsAreHeldAndCharged(t *testing.T) {
	t.Parallel()
	p := pricing.Prices{
		Image: pricing.At(1_000_000_000), AudioSecond: pricing.At(2_000_000_000), Character: pricing.At(3_000_000_000),
		ServerToolCall: pricing.At(4_000_000_000), Request: pricing.At(5_000_000_000),
	}
	u := pricing.Units{Images: 1, AudioSeconds: 1, Characters: 1, ServerToolCalls: 1, Requests: 1}
	charge, _, err := pricing.Price(pricing.Counts{Units: u}, p, pricing.DefaultTerms())
	if want := 22_500 * money.Credit / 10_000; err != nil || charge != want { // 0.015 dollars at one and a half
		t.Errorf("charge %s, %v; want %s", charge, err, want)
	}
	if held, err := pricing.Bound(pricing.Input{Units: u}, 0, p, pricing.DefaultTerms()); err != nil || held != charge {
		t.Errorf("held %s, %v; want %s", held, err, charge)
	}
	if p.Free() || (pricing.Prices{ImageBy: []pricing.ImagePrice{{Price: 1}}}).Free() || !(pricing.Prices{Image: pricing.At(0)}).Free() {
		t.Error("what costs something is free, or the other way round")
	}
	for _, wrong := range []pricing.Prices{
		{Character: pricing.At(-1)}, {ImageBy: []pricing.ImagePrice{{Price: -1}}}, {ImageBy: []pricing.ImagePrice{{Size: "a"}, {Size: "a"}}},
	} {
		if wrong.Check() == nil {
			t.Errorf("%+v is taken for valid", wrong)
		}
	}
}

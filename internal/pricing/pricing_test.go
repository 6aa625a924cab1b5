package pricing_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

var (
	mini   = pricing.Prices{Input: 250_000, CacheRead: pricing.At(25_000), Output: 2_000_000}
	nano   = pricing.Prices{Input: 50_000, Output: 400_000}
	haiku  = pricing.Prices{Input: 1_000_000, Output: 5_000_000}
	sonnet = pricing.Prices{
		Input: 3_000_000, Output: 15_000_000, CacheRead: pricing.At(300_000),
		CacheWrite: pricing.At(3_750_000), CacheWriteLong: pricing.At(6_000_000),
	}
	gpro = pricing.Prices{
		Input: 1_250_000, Output: 10_000_000, CacheRead: pricing.At(125_000), Threshold: 200_000,
		High: &pricing.Prices{Input: 2_500_000, Output: 15_000_000, CacheRead: pricing.At(250_000)},
	}
)

// The table of the product's price formula, each case at four increments.
func TestPriceTable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		prices     pricing.Prices
		counts     pricing.Counts
		multiplier int64
		pico       int64
		want       [4]string
	}{
		{"1 mini", mini, pricing.Counts{Input: 1000, Output: 500}, 13000, 1_250_000_000, [4]string{"0.163", "0.17", "0.2", "1"}},
		{"2 nano", nano, pricing.Counts{Input: 100, Output: 20}, 15000, 13_000_000, [4]string{"0.002", "0.01", "0.1", "1"}},
		{"3 exact multiple", haiku, pricing.Counts{Output: 10_000}, 15000, 50_000_000_000, [4]string{"7.5", "7.5", "7.5", "8"}},
		{"4 exact whole", haiku, pricing.Counts{Output: 14_000}, 10000, 70_000_000_000, [4]string{"7", "7", "7", "7"}},
		{"5 cache classes", sonnet, pricing.Counts{Input: 2000, CacheWrite: 10_000, CacheRead: 50_000, Output: 1000}, 13000, 73_500_000_000, [4]string{"9.555", "9.56", "9.6", "10"}},
		{"6 long cache write", sonnet, pricing.Counts{Input: 1000, CacheWriteLong: 4000, Output: 500}, 13000, 34_500_000_000, [4]string{"4.485", "4.49", "4.5", "5"}},
		{"7 high context", gpro, pricing.Counts{Input: 60_000, CacheRead: 150_000, Output: 1000, Reasoning: 3000}, 12500, 247_500_000_000, [4]string{"30.938", "30.94", "31", "31"}},
		{"8 at the threshold", gpro, pricing.Counts{Input: 200_000, Output: 1000}, 12500, 260_000_000_000, [4]string{"32.5", "32.5", "32.5", "33"}},
		{"9 above the threshold", gpro, pricing.Counts{Input: 200_001, Output: 1000}, 12500, 515_002_500_000, [4]string{"64.376", "64.38", "64.4", "65"}},
		{"10 cached and reasoning", mini, pricing.Counts{Input: 2000, CacheRead: 8000, Output: 300, Reasoning: 600}, 13000, 2_500_000_000, [4]string{"0.325", "0.33", "0.4", "1"}},
		{"11 two images", pricing.Prices{Image: pricing.At(40_000_000_000)}, pricing.Counts{Units: pricing.Units{Images: 2}}, 12500, 80_000_000_000, [4]string{"10", "10", "10", "10"}},
		{"12 a minute of sound", pricing.Prices{AudioSecond: pricing.At(100_000_000)}, pricing.Counts{Units: pricing.Units{AudioSeconds: 62}}, 13000, 6_200_000_000, [4]string{"0.806", "0.81", "0.9", "1"}},
		{"13 embedding", pricing.Prices{Input: 20_000}, pricing.Counts{Input: 5000}, 13000, 100_000_000, [4]string{"0.013", "0.02", "0.1", "1"}},
		{"14 large", pricing.Prices{Input: 15_000_000, Output: 75_000_000}, pricing.Counts{Input: 1_000_000, Output: 128_000}, 20000, 24_600_000_000_000, [4]string{"4920", "4920", "4920", "4920"}},
		{"15 free", pricing.Prices{}, pricing.Counts{Input: 1000}, 13000, 0, [4]string{"0", "0", "0", "0"}},
	} {
		for i, increment := range []money.Credits{1000, 10_000, 100_000, 1_000_000} {
			got, cost, err := pricing.Price(tt.counts, tt.prices, money.Terms{Multiplier: tt.multiplier, CreditValue: 10_000, Increment: increment})
			if err != nil || got.String() != tt.want[i] {
				t.Errorf("%s at increment %s: %s, %v; want %s", tt.name, increment, got, err, tt.want[i])
			}
			if pico, err := cost.Pico(); err != nil || pico != tt.pico {
				t.Errorf("%s: cost %d, %v; want %d", tt.name, pico, err, tt.pico)
			}
		}
	}
}

// No discount is assumed for a class that the row does not name.
func TestMissingClassesCostTheNextDearer(t *testing.T) {
	t.Parallel()
	bare := pricing.Prices{Input: 1_000_000, Output: 7_000_000}
	write := bare
	write.CacheWrite = pricing.At(2_000_000)
	free := bare
	free.CacheRead = pricing.At(0)
	for _, tt := range []struct {
		name   string
		prices pricing.Prices
		counts pricing.Counts
		pico   int64
	}{
		{"cacheRead", bare, pricing.Counts{CacheRead: 1}, 1_000_000},
		{"cacheWrite", bare, pricing.Counts{CacheWrite: 1}, 1_000_000},
		{"imageInput", bare, pricing.Counts{ImageInput: 1}, 1_000_000},
		{"audioInput", bare, pricing.Counts{AudioInput: 1}, 1_000_000},
		{"cacheWriteLong of none", bare, pricing.Counts{CacheWriteLong: 1}, 1_000_000},
		{"cacheWriteLong of cacheWrite", write, pricing.Counts{CacheWriteLong: 1}, 2_000_000},
		{"reasoning", bare, pricing.Counts{Reasoning: 1}, 7_000_000},
		{"audioOutput", bare, pricing.Counts{AudioOutput: 1}, 7_000_000},
		{"imageOutput", bare, pricing.Counts{ImageOutput: 1}, 7_000_000},
		{"a price of 0 is a price", free, pricing.Counts{CacheRead: 1}, 0},
	} {
		_, cost, err := pricing.Price(tt.counts, tt.prices, pricing.DefaultTerms())
		if pico, perr := cost.Pico(); err != nil || perr != nil || pico != tt.pico {
			t.Errorf("%s: %d, %v, want %d", tt.name, pico, err, tt.pico)
		}
	}
}

func drawPrices(t *rapid.T, label string, least pricing.Prices) pricing.Prices {
	price := func(name string, atLeast money.Price) money.Price {
		return atLeast + money.Price(rapid.Int64Range(0, 100_000_000).Draw(t, label+name))
	}
	optional := func(name string, atLeast, fallback money.Price) pricing.Optional {
		if rapid.Bool().Draw(t, label+name+" set") {
			return pricing.At(price(name, max(atLeast, fallback)))
		}
		return pricing.Optional{}
	}
	p := pricing.Prices{Input: price("input", least.Input), Output: price("output", least.Output)}
	p.CacheWrite = optional("cacheWrite", least.CacheWrite.Or(least.Input), p.Input)
	p.ImageInput = optional("imageInput", least.ImageInput.Or(least.Input), p.Input)
	p.Reasoning = optional("reasoning", least.Reasoning.Or(least.Output), p.Output)
	return p
}

func drawCounts(t *rapid.T, label string) pricing.Counts {
	n := func(name string) int64 { return rapid.Int64Range(0, 2_000_000).Draw(t, label+name) }
	return pricing.Counts{Input: n("input"), CacheRead: n("cacheRead"), CacheWrite: n("cacheWrite"), CacheWriteLong: n("cacheWriteLong"), ImageInput: n("imageInput"), Output: n("output"), Reasoning: n("reasoning")}
}

// A row whose long-context prices are not below its others never makes a
// larger call cheaper.
func TestMoreTokensNeverCostLess(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrices(t, "base ", pricing.Prices{})
		if rapid.Bool().Draw(t, "threshold") {
			high := drawPrices(t, "high ", p)
			for _, c := range []struct{ base, high *pricing.Optional }{{&p.CacheWrite, &high.CacheWrite}, {&p.ImageInput, &high.ImageInput}, {&p.Reasoning, &high.Reasoning}} {
				if !c.base.IsZero() && c.high.IsZero() {
					*c.high = pricing.At(c.base.Or(0) + 200_000_000)
				}
			}
			p.Threshold, p.High = rapid.Int64Range(1, 4_000_000).Draw(t, "at"), &high
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		terms := money.Terms{
			Multiplier:  rapid.Int64Range(10_000, 100_000).Draw(t, "multiplier"),
			CreditValue: 10_000,
			Increment:   rapid.SampledFrom([]money.Credits{1000, 10_000, 100_000, 1_000_000}).Draw(t, "increment"),
		}
		a, d := drawCounts(t, "a "), drawCounts(t, "more ")
		b := pricing.Counts{
			Input: a.Input + d.Input, CacheRead: a.CacheRead + d.CacheRead, CacheWrite: a.CacheWrite + d.CacheWrite,
			CacheWriteLong: a.CacheWriteLong + d.CacheWriteLong, ImageInput: a.ImageInput + d.ImageInput,
			Output: a.Output + d.Output, Reasoning: a.Reasoning + d.Reasoning,
		}
		less, _, err := pricing.Price(a, p, terms)
		if err != nil {
			t.Fatal(err)
		}
		more, _, err := pricing.Price(b, p, terms)
		if err != nil {
			t.Fatal(err)
		}
		if more < less {
			t.Fatalf("%+v costs %s, more of it %s", a, less, more)
		}
	})
}

// What is held pays for whatever classes the vendor reports.
func TestBoundCoversEveryReport(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrices(t, "", pricing.Prices{})
		c := drawCounts(t, "")
		terms := pricing.DefaultTerms()
		text := c.TotalInput() - c.ImageInput
		need, err := pricing.Bound(pricing.Input{Text: text, Media: c.ImageInput, LongCache: true}, c.TotalOutput(), p, terms)
		if err != nil {
			t.Fatal(err)
		}
		charge, _, err := pricing.Price(c, p, terms)
		if err != nil {
			t.Fatal(err)
		}
		if charge > need {
			t.Fatalf("held %s, charged %s", need, charge)
		}
	})
}

func TestBoundUsesLongContextPricesEarly(t *testing.T) {
	t.Parallel()
	for tokens, want := range map[int64]string{189_999: "35.63", 190_000: "71.25"} {
		got, err := pricing.Bound(pricing.Input{Text: tokens}, 0, gpro, pricing.DefaultTerms())
		if err != nil || got.String() != want {
			t.Errorf("%d tokens hold %s, %v; want %s", tokens, got, err, want)
		}
	}
}

func TestAffordableIsTheLargestOutputThatFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrices(t, "", pricing.Prices{})
		in := pricing.Input{Text: rapid.Int64Range(0, 100_000).Draw(t, "text")}
		limit := rapid.Int64Range(1, 200_000).Draw(t, "limit")
		room := money.Credits(rapid.Int64Range(0, 100*int64(money.Credit)).Draw(t, "room"))
		terms := pricing.DefaultTerms()
		n := pricing.Affordable(in, limit, room, p, terms)
		need := func(output int64) money.Credits {
			c, err := pricing.Bound(in, output, p, terms)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if n >= 0 && need(n) > room {
			t.Fatalf("%d tokens hold %s of %s", n, need(n), room)
		}
		if n < limit && need(n+1) <= room {
			t.Fatalf("%d tokens would also fit in %s", n+1, room)
		}
	})
}

func TestPriceRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, c := range []pricing.Counts{{Input: -1}, {Output: -1}, {CacheRead: 1 << 62, Output: 1 << 62}} {
		if _, _, err := pricing.Price(c, sonnet, pricing.DefaultTerms()); !errors.Is(err, money.ErrRange) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestCheckFindsBrokenRows(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]pricing.Prices{
		"negative":            {Input: -1},
		"negative class":      {CacheRead: pricing.At(-1)},
		"threshold alone":     {Threshold: 5},
		"high alone":          {High: &pricing.Prices{}},
		"class only in first": {Threshold: 5, CacheRead: pricing.At(1), High: &pricing.Prices{}},
		"negative high":       {Threshold: 5, High: &pricing.Prices{Output: -1}},
		"nested":              {Threshold: 5, High: &pricing.Prices{Threshold: 6, High: &pricing.Prices{}}},
	} {
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, p := range []pricing.Prices{mini, nano, haiku, sonnet, gpro, {}} {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestPricesSurviveJSON(t *testing.T) {
	t.Parallel()
	free := pricing.Prices{CacheRead: pricing.At(0)}
	for _, p := range []pricing.Prices{mini, nano, sonnet, gpro, free} {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var got pricing.Prices
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got, cmp.AllowUnexported(pricing.Optional{})); diff != "" {
			t.Errorf("%s: %s", b, diff)
		}
	}
	if !free.Free() || mini.Free() || gpro.Free() {
		t.Error("Free is wrong")
	}
}

func FuzzUnmarshalPrices(f *testing.F) {
	for _, p := range []pricing.Prices{mini, sonnet, gpro} {
		b, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"input":null,"cacheRead":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pricing.Prices
		if json.Unmarshal(data, &p) != nil || p.Check() != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q pricing.Prices
		if err := json.Unmarshal(again, &q); err != nil {
			t.Fatalf("%s became %s: %v", data, again, err)
		}
		if !cmp.Equal(p, q, cmp.AllowUnexported(pricing.Optional{})) {
			t.Errorf("%s became %s", data, again)
		}
	})
}

func TestShownPricesAreRoundedHalfUp(t *testing.T) {
	t.Parallel()
	terms := money.Terms{Multiplier: 13_000, CreditValue: 10_000, Increment: 1}
	for _, tt := range []struct {
		price money.Price
		units int64
		want  string
	}{
		{250_000, 1_000_000, "32.5"},
		{250_000, 1000, "0.0325"},
		{5, 1000, "0.000001"},   // 0.65 millionths
		{3, 1000, "0"},          // 0.39
		{50, 1_000, "0.000007"}, // 6.5
	} {
		if got := pricing.Shown(tt.price, terms, tt.units); got.String() != tt.want {
			t.Errorf("%d for %d: %s, want %s", tt.price, tt.units, got, tt.want)
		}
	}
}

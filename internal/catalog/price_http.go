package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/margin"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountPrices(m *web.Mux) {
	view, edit := access.Allows(access.ViewPrices), access.Allows(access.EditPrices)
	web.Route(m, "GET /admin/pricing/vendor-prices", a.listPrices, view, web.Doc("List what vendors ask, newest first"))
	web.Route(m, "POST /admin/pricing/vendor-prices", a.setPrice, edit, web.Once(), web.Status(http.StatusCreated), web.Doc("Set a price from a time on"))
	web.Route(m, "POST /admin/pricing/vendor-prices/{id}/verify", a.verifyPrice, edit, web.Doc("Say that a price was compared with the vendor's list"))
	web.Route(m, "DELETE /admin/pricing/vendor-prices/{id}", a.cancelPrice, edit, web.Status(http.StatusNoContent), web.Doc("Take a price back that does not hold yet"))
	web.Route(m, "GET /admin/pricing/effective", a.effective, view, web.Doc("Show what a model costs us and people, and the margin"))
}

// PriceSet is a set of prices in micro-dollars per million units.
type PriceSet struct {
	Input          int64  `json:"input" minimum:"0"`
	CacheRead      *int64 `json:"cacheRead,omitempty" minimum:"0"`
	CacheWrite     *int64 `json:"cacheWrite,omitempty" minimum:"0"`
	CacheWriteLong *int64 `json:"cacheWriteLong,omitempty" minimum:"0"`
	ImageInput     *int64 `json:"imageInput,omitempty" minimum:"0"`
	AudioInput     *int64 `json:"audioInput,omitempty" minimum:"0"`
	Output         int64  `json:"output" minimum:"0"`
	Reasoning      *int64 `json:"reasoning,omitempty" minimum:"0"`
	AudioOutput    *int64 `json:"audioOutput,omitempty" minimum:"0"`
	ImageOutput    *int64 `json:"imageOutput,omitempty" minimum:"0"`

	Image          *int64       `json:"image,omitempty" minimum:"0"`
	ImageBy        []imagePrice `json:"imageBy,omitempty" maxItems:"100" doc:"Instead of image, where its size or quality matters"`
	AudioSeconds   *int64       `json:"audioSeconds,omitempty" minimum:"0"`
	Characters     *int64       `json:"characters,omitempty" minimum:"0"`
	ServerToolCall *int64       `json:"serverToolCall,omitempty" minimum:"0"`
	Request        *int64       `json:"request,omitempty" minimum:"0"`
}

type imagePrice struct {
	Size    string `json:"size,omitempty" maxLength:"40"`
	Quality string `json:"quality,omitempty" maxLength:"40"`
	Price   int64  `json:"price" minimum:"0"`
}

// priceBody is a price with what is asked above a threshold.
type priceBody struct {
	PriceSet
	Threshold int64     `json:"contextThreshold,omitempty" minimum:"0" doc:"Input tokens above which highContext prices the whole call"`
	High      *PriceSet `json:"highContext,omitempty"`
}

// prices are the same names and numbers as pricing.Prices has.
func (p priceBody) prices() (out pricing.Prices) {
	convert(p, &out)
	return out
}

func newPriceBody(p pricing.Prices) (out priceBody) {
	convert(p, &out)
	return out
}

// convert copies the fields of one of the two forms of a price to the other.
func convert(from, to any) {
	text, err := json.Marshal(from)
	if err == nil {
		_ = json.Unmarshal(text, to) // both forms encode always, and alike
	}
}

// shownRow is a row of prices as answers and the history show it.
type shownRow struct {
	ID             string     `json:"id"`
	Provider       string     `json:"providerId"`
	VendorModel    string     `json:"vendorModelId"`
	EffectiveFrom  time.Time  `json:"effectiveFrom"`
	EffectiveUntil *time.Time `json:"effectiveUntil"`
	Prices         priceBody  `json:"prices" doc:"Micro-dollars per million units"`
	Source         string     `json:"source"`
	Override       bool       `json:"override" doc:"A person wrote it: neither the configuration nor an import replaces it"`
	Author         string     `json:"author"`
	Reason         string     `json:"reason"`
	VerifiedAt     time.Time  `json:"verifiedAt"`
}

func (p PriceRow) shown() shownRow {
	out := shownRow{
		ID: p.ID, Provider: p.Provider, VendorModel: p.VendorModel, EffectiveFrom: p.From, Prices: newPriceBody(p.Prices), Source: p.Source,
		Override: p.Override(), Author: p.Author, Reason: p.Reason, VerifiedAt: p.VerifiedAt,
	}
	if !p.Until.IsZero() {
		out.EffectiveUntil = &p.Until
	}
	return out
}

// Override reports whether a person wrote the row.
func (p PriceRow) Override() bool { return p.Author != "" && p.Source == sourceAdmin }

type pricesInput struct {
	PageInput
	Provider    string `query:"provider" maxLength:"64"`
	VendorModel string `query:"vendor_model_id" maxLength:"200"`
}

type pricesOutput struct{ Body list.Page[shownRow] }

func (a AdminAPI) listPrices(ctx context.Context, in *pricesInput) (*pricesOutput, error) {
	name := "prices " + in.Provider + " " + in.VendorModel
	f := PriceFilter{Provider: in.Provider, VendorModel: in.VendorModel}
	if in.Cursor != "" {
		if err := a.Cursors.Decode(name, in.Cursor, &f.After); err != nil {
			return nil, err
		}
	}
	rows, err := a.Models.PriceRows(ctx, f, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next, err := rest(a.Cursors, name, rows, in.Limit, PriceRow.place)
	if err != nil {
		return nil, err
	}
	out := &pricesOutput{Body: list.Page[shownRow]{Data: []shownRow{}, NextCursor: next}}
	for _, p := range rows {
		out.Body.Data = append(out.Body.Data, p.shown())
	}
	return out, nil
}

type setPriceInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"255"`
	Body struct {
		Provider    string    `json:"providerId" minLength:"1" maxLength:"64"`
		VendorModel string    `json:"vendorModelId" minLength:"1" maxLength:"200"`
		From        time.Time `json:"effectiveFrom,omitzero" required:"false" doc:"Default: now"`
		Prices      priceBody `json:"prices" doc:"Micro-dollars per million units"`
		Reason      string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type priceOutput struct {
	Replayed string `header:"Idempotency-Replayed"`
	Body     shownRow
}

func (a AdminAPI) setPrice(ctx context.Context, in *setPriceInput) (*priceOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	if in.Key == "" {
		return nil, web.ErrKeyRequired
	}
	sum := sha256.Sum256([]byte(who.Actor + "\x00" + in.Key))
	row, repeated, err := a.Models.SetPrice(ctx, NewPrice{
		Provider: in.Body.Provider, VendorModel: in.Body.VendorModel, From: in.Body.From, Prices: in.Body.Prices.prices(),
		ID: "price_key_" + hex.EncodeToString(sum[:16]),
	}, who)
	if err != nil {
		return nil, err
	}
	out := &priceOutput{Body: row.shown()}
	if repeated {
		out.Replayed = "true"
	}
	return out, nil
}

type priceActionInput struct {
	ID string `path:"id" maxLength:"64"`
	WhyInput
}

func (a AdminAPI) verifyPrice(ctx context.Context, in *priceActionInput) (*priceOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	row, err := a.Models.VerifyPrice(ctx, in.ID, who)
	return &priceOutput{Body: row.shown()}, err
}

type cancelPriceInput struct {
	ID string `path:"id" maxLength:"64"`
	WhyQuery
}

func (a AdminAPI) cancelPrice(ctx context.Context, in *cancelPriceInput) (*struct{}, error) {
	who, err := in.by(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Models.CancelPrice(ctx, in.ID, who)
}

type effectiveInput struct {
	Model string    `query:"model" required:"true" maxLength:"100"`
	Tier  string    `query:"tier" maxLength:"64" doc:"Default: of nobody in particular"`
	At    time.Time `query:"at" doc:"Default: now"`
}

type effectiveOutput struct {
	Body struct {
		ModelID      string       `json:"modelId"`
		Provider     string       `json:"providerId"`
		VendorModel  string       `json:"vendorModelId"`
		At           time.Time    `json:"at"`
		MultiplierBP int64        `json:"multiplierBp"`
		MarginBP     int64        `json:"marginBp" doc:"What is left of the price after the vendor's cost, before rounding up"`
		Rule         margin.Kind  `json:"rule" enum:"tier_model,model,tier_provider,provider,tier,tier_default,default" doc:"Which rule decided, in the order in which they are asked"`
		RuleID       string       `json:"ruleId" doc:"Empty for a default"`
		Vendor       priceBody    `json:"vendorPrices" doc:"Micro-dollars per million units"`
		Shown        *shownPrices `json:"shownPrices" doc:"Credits per million units"`
	}
}

func (a AdminAPI) effective(ctx context.Context, in *effectiveInput) (*effectiveOutput, error) {
	m, err := a.Models.Model(in.Model)
	if err != nil {
		return nil, err
	}
	at := in.At
	if at.IsZero() {
		at = a.Models.needs.Now()
	}
	p := m.Prices(at)
	if p == nil {
		return nil, fault.ErrNotFound.Saying("The model has no price at this time, so it cannot be called.")
	}
	out := &effectiveOutput{}
	b, t := &out.Body, a.Models.needs.Terms()
	used := margin.Used{Multiplier: t.Multiplier, Kind: margin.ByDefault}
	if a.Models.needs.Margins != nil {
		if used, err = a.Models.needs.Margins.At(ctx, margin.Scope{Tier: in.Tier, Provider: m.first.Provider.Name, Model: m.ID}, at); err != nil {
			return nil, unavailable(err)
		}
	}
	t.Multiplier = used.Multiplier
	b.ModelID, b.Provider, b.VendorModel, b.At = m.ID, m.first.Provider.Name, m.first.VendorModel, at.UTC()
	b.MultiplierBP, b.Rule, b.RuleID = t.Multiplier, used.Kind, used.RuleID
	if t.Multiplier > 0 {
		const whole = 10_000
		b.MarginBP = whole - whole*whole/t.Multiplier
	}
	b.Vendor, b.Shown = newPriceBody(*p), newShownPrices(p, t)
	return out, nil
}

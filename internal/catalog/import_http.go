package catalog

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/catalog/catwalk"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountImport(m *web.Mux) {
	web.Route(m, "POST /admin/pricing/vendor-prices/import", a.importPrices, access.Allows(access.EditPrices), web.Status(200), web.Doc("Compare prices with the list that is compiled in, and import some"))
}

type importInput struct {
	Body struct {
		Provider     string    `json:"providerId" minLength:"1" maxLength:"64"`
		List         string    `json:"list,omitempty" maxLength:"64" doc:"The list's name of the provider. Default: the same"`
		VendorModels []string  `json:"vendorModelIds,omitempty" maxItems:"1000" doc:"Which to import"`
		All          bool      `json:"all,omitempty" doc:"Import all that are new or changed, without the suspicious ones"`
		Confirmed    []string  `json:"confirmed,omitempty" maxItems:"1000" doc:"Suspicious prices that somebody has looked at"`
		From         time.Time `json:"effectiveFrom,omitzero" required:"false" doc:"Default: now"`
		DryRun       bool      `json:"dryRun,omitempty" doc:"Only compare"`
		Reason       string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type importOutput struct {
	Body struct {
		Source string            `json:"source"`
		DryRun bool              `json:"dryRun"`
		Models []shownDifference `json:"models"`
	}
}

type shownDifference struct {
	VendorModel string     `json:"vendorModelId"`
	Standing    Standing   `json:"standing" enum:"added,changed,retired,suspicious,override,unpriced,same"`
	Why         string     `json:"why"`
	Here        *priceBody `json:"here" doc:"Micro-dollars per million units"`
	List        *priceBody `json:"list"`
	Imported    bool       `json:"imported"`
}

func (a AdminAPI) importPrices(ctx context.Context, in *importInput) (*importOutput, error) {
	b := in.Body
	who, err := by(ctx, b.Reason, "")
	if err != nil {
		return nil, err
	}
	found, err := a.Models.ImportPrices(ctx, Import{
		Provider: b.Provider, List: b.List, Models: b.VendorModels, All: b.All, Confirmed: b.Confirmed, From: b.From,
	}, b.DryRun, who)
	if err != nil {
		return nil, err
	}
	shown := func(p *pricing.Prices) *priceBody {
		if p == nil {
			return nil
		}
		body := newPriceBody(*p)
		return &body
	}
	out := &importOutput{}
	out.Body.Source, out.Body.DryRun, out.Body.Models = catwalk.Source, b.DryRun, []shownDifference{}
	for _, d := range found {
		out.Body.Models = append(out.Body.Models, shownDifference{d.VendorModel, d.Standing, d.Why, shown(d.Here), shown(d.List), d.Imported})
	}
	return out, nil
}

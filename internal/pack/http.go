package pack

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// API shows the packs to everybody and lets administrators change them.
type API struct {
	Packs    *Service
	Currency string // of prices, ISO 4217
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	edit := access.Allows(access.EditTiers)
	web.Route(m, "GET /v1/credit-packs", a.onSale, web.Public(), web.Doc("List the credit packs, the cheapest first"))
	web.Route(m, "GET /admin/credit-packs", a.all, access.Allows(access.ViewTiers), web.Doc("List all credit packs, those that are not sold too"))
	web.Route(m, "POST /admin/credit-packs", a.add, edit, web.Status(http.StatusCreated), web.Doc("Add a credit pack"))
	web.Route(m, "PATCH /admin/credit-packs/{id}", a.edit, edit, web.Doc("Change a credit pack; what it gave stays"))
}

// Offer is a pack as its buyers see it.
type Offer struct {
	ID           string        `json:"id"`
	Credits      money.Credits `json:"credits"`
	Price        int64         `json:"price" doc:"In minor units"`
	Currency     string        `json:"currency"`
	ExpiryMonths *int64        `json:"expiryMonths" doc:"How long the credits last; null: for ever"`
}

// Item is a pack as administrators see it.
type Item struct {
	Offer
	Active    bool      `json:"active" doc:"It can be bought"`
	Version   int64     `json:"version" doc:"The ETag, for If-Match"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (a API) offer(p Pack) Offer {
	o := Offer{ID: p.ID, Credits: p.Credits, Price: p.Price, Currency: a.Currency}
	if months := a.Packs.Months(); months > 0 {
		o.ExpiryMonths = &months
	}
	return o
}

func (a API) item(p Pack) Item { return Item{a.offer(p), p.Active, p.Version, p.UpdatedAt} }

type offersOutput struct{ Body list.Page[Offer] }

func (a API) onSale(ctx context.Context, _ *struct{}) (*offersOutput, error) {
	packs, err := a.Packs.All(ctx, true)
	out := &offersOutput{Body: list.Page[Offer]{Data: []Offer{}}}
	for _, p := range packs {
		out.Body.Data = append(out.Body.Data, a.offer(p))
	}
	return out, err
}

type itemsOutput struct{ Body list.Page[Item] }

func (a API) all(ctx context.Context, _ *struct{}) (*itemsOutput, error) {
	packs, err := a.Packs.All(ctx, false)
	out := &itemsOutput{Body: list.Page[Item]{Data: []Item{}}}
	for _, p := range packs {
		out.Body.Data = append(out.Body.Data, a.item(p))
	}
	return out, err
}

type itemOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Item
}

func (a API) one(p Pack, err error) (*itemOutput, error) {
	if err != nil {
		return nil, err
	}
	return &itemOutput{ETag: `"` + strconv.FormatInt(p.Version, 10) + `"`, Body: a.item(p)}, nil
}

type addInput struct {
	Body struct {
		Credits int64  `json:"credits" minimum:"1" maximum:"10000000" doc:"Whole ones"`
		Price   int64  `json:"price" minimum:"1" maximum:"1000000000" doc:"In minor units"`
		Active  bool   `json:"active,omitempty" doc:"It can be bought. Default: not yet"`
		Reason  string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a API) add(ctx context.Context, in *addInput) (*itemOutput, error) {
	p := Pack{Credits: money.Credits(in.Body.Credits) * money.Credit, Price: in.Body.Price, Active: in.Body.Active}
	p, err := a.Packs.Make(ctx, p, in.Body.Reason)
	out, err := a.one(p, err)
	if out != nil {
		out.Location = "/admin/credit-packs/" + p.ID
	}
	return out, err
}

type editInput struct {
	ID    string `path:"id" maxLength:"64"`
	Match string `header:"If-Match" maxLength:"64"`
	Body  struct {
		Credits *int64 `json:"credits,omitempty" minimum:"1" maximum:"10000000" doc:"Whole ones"`
		Price   *int64 `json:"price,omitempty" minimum:"1" maximum:"1000000000" doc:"In minor units"`
		Active  *bool  `json:"active,omitempty"`
		Reason  string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a API) edit(ctx context.Context, in *editInput) (*itemOutput, error) {
	seen := int64(0) // any
	if in.Match != "" && in.Match != "*" {
		n, err := strconv.ParseInt(strings.Trim(in.Match, `"`), 10, 64)
		if err != nil || n < 1 {
			return nil, ErrEdited
		}
		seen = n
	}
	e := Edit{Price: in.Body.Price, Active: in.Body.Active}
	if in.Body.Credits != nil {
		e.Credits = new(money.Credits(*in.Body.Credits) * money.Credit)
	}
	return a.one(a.Packs.Change(ctx, in.ID, seen, e, in.Body.Reason))
}

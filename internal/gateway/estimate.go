package gateway

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

type estimateInput struct {
	Body struct {
		Model           string            `json:"model" minLength:"1" maxLength:"200"`
		InputTokens     *int64            `json:"inputTokens,omitempty" minimum:"0" maximum:"100000000" doc:"Instead of messages"`
		Messages        []json.RawMessage `json:"messages,omitempty" maxItems:"10000" doc:"As in a chat completion; their length is what counts"`
		MaxOutputTokens int64             `json:"maxOutputTokens,omitempty" minimum:"1" doc:"Without it the call's usual limit"`
		Images          int               `json:"images,omitempty" minimum:"0" maximum:"10" doc:"Beside the messages"`
	}
}

type estimateOutput struct {
	Body struct {
		Model      string        `json:"model"`
		MinCredits money.Credits `json:"minCredits" doc:"If the model answers nothing"`
		MaxCredits money.Credits `json:"maxCredits" doc:"What the call would set aside"`
		Available  money.Credits `json:"available"`
		Affordable bool          `json:"affordable" doc:"Whether the call would be let in now"`
		// MaxAffordableOutputTokens is 0 when not even the input is paid for.
		MaxAffordableOutputTokens int64 `json:"maxAffordableOutputTokens"`
	}
}

// estimated answers what a call would cost, by the same bounds as the call's
// hold, and sets nothing aside. It is free.
func (a API) estimated(ctx context.Context, in *estimateInput) (*estimateOutput, error) {
	s, b := a.Calls, &in.Body
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if (b.InputTokens == nil) == (b.Messages == nil) {
		return nil, ErrRange.At("inputTokens").Saying("Send either inputTokens or messages.")
	}
	c := &call{s: s, op: opChat, r: &http.Request{}, actor: actor, began: s.needs.Now(), terms: s.needs.Terms()}
	c.scan = relay.Scan{N: 1, MaxTokens: b.MaxOutputTokens, MaxTokensKey: "maxOutputTokens", Messages: len(b.Messages), Images: b.Images, Media: b.Images}
	for _, m := range b.Messages {
		c.scan.TextBytes += int64(len(m))
	}
	if c.model, err = s.needs.Models.Model(b.Model); err != nil {
		return nil, err
	}
	c.tier = c.plan()
	if err := c.permitted(c.model); err != nil {
		return nil, err
	}
	if c.prices = c.model.Prices(c.began); c.prices == nil {
		return nil, llm.ErrUnavailable
	}
	c.terms = c.termsOf(c.model)
	if err := c.checkParameters(); err != nil {
		return nil, err
	}
	if c.meter, c.prices, err = c.tariff(c.prices); err != nil {
		return nil, err
	}
	c.factor, c.chain = s.short.factor(c.model.ID), c.fallbacks()
	c.estimate()
	if n := b.InputTokens; n != nil { // known: both bounds of the text are the count itself
		c.in.Text, c.input, c.scan.TextBytes = *n, *n+c.in.Media, *n
	}
	return c.quote(ctx)
}

// quote prices the call that is described.
func (c *call) quote(ctx context.Context) (*estimateOutput, error) {
	room, err := c.s.needs.Credits.Room(ctx, c.actor.UserID, c.caps())
	if err != nil {
		return nil, unavailable(err)
	}
	asked := c.scan.MaxTokens
	c.scan.MaxTokens = 0
	affordable := max(c.affordable(room), 0)
	if c.output = asked; asked == 0 {
		c.output = max(affordable, min(leastOutput, c.limit()))
	}
	most, err := c.bound(room)
	if err != nil {
		return nil, ErrRange.At("inputTokens").Because(err)
	}
	least, _, err := pricing.Price(pricing.Counts{Input: c.input}, *c.prices, c.terms)
	if err != nil {
		return nil, ErrRange.At("inputTokens").Because(err)
	}
	out := &estimateOutput{}
	b := &out.Body
	b.Model, b.MinCredits, b.MaxCredits, b.Available = c.model.ID, least, max(most, least), room
	b.Affordable, b.MaxAffordableOutputTokens = most <= room, affordable
	if c.actor.Test || c.free() {
		b.MinCredits, b.MaxCredits, b.Affordable, b.MaxAffordableOutputTokens = 0, 0, true, c.limit()
	}
	return out, nil
}

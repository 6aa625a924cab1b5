package gateway

import (
	"errors"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

const (
	maxChoices   = 10
	maxImages    = 10
	leastOutput  = 16   // tokens; below, a call without a stated limit is not worth starting
	imageTokens  = 2805 // of an image whose size is not known
	fileTokens   = 3000 // at least, of a file or sound
	perMessage   = 8    // tokens around each message
	contextBytes = 8    // a token has at most so many bytes, as a rule
)

// admit scans the body, resolves the model, checks what we price and sets the
// credits aside. After an error nothing is held.
func (c *call) admit() (err error) {
	if err = c.op.scan(c); err != nil {
		return err
	}
	if c.model, err = c.s.needs.Models.Model(c.scan.Model); err != nil {
		return err
	}
	c.tier = c.plan()
	if err := c.permitted(c.model); err != nil {
		return err
	}
	c.announce(c.model)
	if c.prices = c.model.Prices(c.began); c.prices == nil {
		return llm.ErrUnavailable
	}
	c.terms = c.termsOf(c.model)
	if err := c.constrain(); err != nil {
		return err
	}
	if err := c.checkParameters(); err != nil {
		return err
	}
	if err := c.attach(); err != nil {
		return err
	}
	if err := c.understand(); err != nil {
		return err
	}
	if c.meter, c.prices, err = c.tariff(c.prices); err != nil {
		return err
	}
	c.factor, c.chain = c.s.short.factor(c.model.ID), c.fallbacks()
	c.estimate()
	if err := c.limits(); err != nil {
		return err
	}
	defer func() {
		if err != nil { // only calls that are admitted count
			c.giveBack()
		}
	}()
	c.lookUp()
	if c.actor.Test || c.free() || c.hit() && !c.chargesKept() {
		if c.actor.Test {
			c.prices = &c.s.free
		}
		c.output = c.limit()
		c.record()
		return nil
	}
	return c.reserve()
}

// termsOf returns by which terms a call to m is charged.
func (c *call) termsOf(m *catalog.Model) money.Terms {
	t := c.terms
	if c.s.needs.Margin != nil && len(m.Routes) > 0 {
		t.Multiplier = c.s.needs.Margin(c.tier.Name, m.Routes[0].Provider.Name, m.ID, c.began)
	}
	return t
}

// chargesKept reports whether an answer that is given again costs as much as at
// first.
func (c *call) chargesKept() bool { return c.s.needs.ChargeKept != nil && c.s.needs.ChargeKept() }

func (c *call) checkParameters() error {
	if c.op == opChat && (c.scan.N < 1 || c.scan.N > maxChoices) {
		return ErrRange.At("n").Saying("The field n must be from 1 to %d.", maxChoices)
	}
	if c.scan.MaxTokens < 0 || c.scan.MaxTokens > c.model.MaxOutput {
		return ErrRange.At(c.scan.MaxTokensKey).Saying("The field %s must be from 1 to %d for this model.", c.scan.MaxTokensKey, c.model.MaxOutput).
			With("minimum", 1).With("maximum", c.model.MaxOutput)
	}
	if c.scan.Images > maxImages {
		return llm.ErrImage.At("messages").Saying("A request may have %d images. Send fewer.", maxImages)
	}
	if limit := c.context(); limit > 0 && c.scan.TextBytes/contextBytes > limit {
		return ErrContext.Saying("The request has at least %d tokens and the model takes %d. Send less.", c.scan.TextBytes/contextBytes, limit)
	}
	return nil
}

// context is how many tokens the input can have; 0 is not known. Each input of
// a request for embeddings has the model's whole context.
func (c *call) context() int64 {
	if c.op.embed != nil {
		return c.model.ContextLength * int64(max(c.scan.Messages, 1))
	}
	return c.model.ContextLength
}

// estimate takes the input for three bytes per token. For the hold a tenth is
// added; both bounds are rounded up.
func (c *call) estimate() {
	if c.meter.kind != inTokens {
		c.in = pricing.Input{Units: c.meter.most}
		return
	}
	around := perMessage * int64(c.scan.Messages)
	media := imageTokens * int64(c.scan.Images)
	if c.scan.Media > c.scan.Images {
		media += max(fileTokens, c.scan.MediaBytes/20)
	}
	if c.op.op == llm.OpTranscriptions {
		media = c.meter.media
	}
	if c.attached.known {
		media = c.attached.tokens
	}
	c.in = pricing.Input{Text: (c.scan.TextBytes*11+29)/30 + around, Media: media, Units: c.meter.most}
	c.input = (c.scan.TextBytes+2)/3 + around + media
	if n := c.scan.Tokens; n > 0 { // which need no guess; short ones have fewer bytes than we take a token for
		c.in.Text, c.input = max(c.in.Text, n+around), n+media
	}
}

// limited reports whether a request can say how much it wants.
func (c *call) limited() bool { return c.op == opChat || c.op.limitKey != "" }

// limit is the output limit of a call when nobody has to pay for it.
func (c *call) limit() int64 {
	if !c.limited() {
		if c.op.fixed == nil || c.meter.kind != inTokens {
			return 0
		}
		return c.op.fixed(c)
	}
	if c.scan.MaxTokens > 0 {
		return c.scan.MaxTokens
	}
	return min(c.model.MaxOutput, c.s.limits.Output)
}

// reserve fixes the output limit and sets aside what the call can cost.
func (c *call) reserve() error {
	caps := c.caps()
	room, err := c.s.needs.Credits.Room(c.r.Context(), c.actor.UserID, caps)
	if err != nil {
		return unavailable(err)
	}
	err = c.setAside(room, caps)
	s, ok := errors.AsType[*credit.Shortage](err)
	if ok && c.limited() && c.scan.MaxTokens == 0 && s.Available < room { // others were faster: with what they left
		err = c.setAside(s.Available, caps)
		s, ok = errors.AsType[*credit.Shortage](err)
	}
	switch {
	case ok:
		return c.explain(s)
	case err != nil:
		return unavailable(err)
	}
	return nil
}

// setAside makes the record and the hold of a call that room is taken to be there
// for.
func (c *call) setAside(room money.Credits, caps []credit.Cap) (err error) {
	c.output = c.limit()
	if c.limited() && c.scan.MaxTokens == 0 {
		c.output = max(c.affordable(room), min(leastOutput, c.output))
	}
	if c.need, err = c.bound(room); err != nil {
		return ErrRange.At("messages").Because(err)
	}
	c.record()
	journal, err := c.entry.Journal()
	if err != nil {
		return err
	}
	c.hold, err = c.s.needs.Credits.Reserve(c.r.Context(), credit.Call{User: c.actor.UserID, Ref: c.entry.ID, Need: c.need, Caps: caps, Journal: journal})
	if err != nil {
		c.entry.ID = "" // there is nothing to end
	}
	c.heldAt = c.s.pulse.clock.Load()
	return err
}

// affordable returns the largest output per choice, up to the usual limit,
// that room pays for, whichever model answers; negative when it does not pay
// for the input.
func (c *call) affordable(room money.Credits) int64 {
	n := pricing.Affordable(c.in, c.limit()*c.scan.N, lowered(room, c.factor), *c.prices, c.terms)
	for i := range c.chain {
		f := &c.chain[i]
		n = min(n, pricing.Affordable(c.in, c.limit()*c.scan.N, lowered(room, f.factor), *f.prices, f.terms))
	}
	if n < 0 {
		return n
	}
	return n / c.scan.N
}

// bound returns what to hold: enough for the dearest model that may answer.
func (c *call) bound(room money.Credits) (money.Credits, error) {
	most, err := c.boundAt(c.prices, c.terms, room)
	most = raise(most, c.factor)
	for i := 0; i < len(c.chain) && err == nil; i++ {
		var b money.Credits
		b, err = c.boundAt(c.chain[i].prices, c.chain[i].terms, room)
		most = max(most, raise(b, c.chain[i].factor))
	}
	return most, err
}

// boundAt is bound for the prices and terms of one model. The bytes of the text are a
// proven bound of its tokens; where they are cheap for this user they are held
// instead of the estimate.
func (c *call) boundAt(prices *pricing.Prices, terms money.Terms, room money.Credits) (money.Credits, error) {
	if c.meter.kind != inTokens {
		return pricing.Bound(c.in, 0, *prices, terms)
	}
	proven := c.in
	proven.Text = c.scan.TextBytes + perMessage*int64(c.scan.Messages)
	if text, err := pricing.Bound(proven, 0, *prices, terms); err == nil && text <= room/4 {
		if all, err := pricing.Bound(proven, c.output*c.scan.N, *prices, terms); err == nil && all <= room {
			return all, nil
		}
	}
	return pricing.Bound(c.in, c.output*c.scan.N, *prices, terms)
}

// explain tells a client what a call would cost, what is there, and which
// output that pays for.
func (c *call) explain(s *credit.Shortage) error {
	key := c.scan.MaxTokensKey
	if key == "" && c.limited() {
		if key = c.op.limitKey; key == "" {
			key = "max_tokens"
		}
	}
	affordable := int64(0)
	if key != "" {
		affordable = max(c.affordable(s.Available), 0)
	}
	f := fault.From(s).At(key).
		With("required", s.Need).With("available", s.Available).With("held", s.Held).
		With("maxAffordableOutputTokens", affordable).With("topUpUrl", c.s.needs.TopUpURL)
	if !errors.Is(s, credit.ErrInsufficient) {
		return f
	}
	if affordable > 0 {
		f = f.Saying("This request may cost up to %s credits and %s are left. Add credits, or set %s to %d or less.", s.Need, s.Available, key, affordable)
	} else {
		f = f.Saying("This request may cost up to %s credits and %s are left. Add credits.", s.Need, s.Available)
	}
	return f.Final()
}

// unavailable keeps faults and turns all else into one: a ledger that cannot
// answer has not said that there are no credits.
func unavailable(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	return credit.ErrUnavailable.Because(err)
}

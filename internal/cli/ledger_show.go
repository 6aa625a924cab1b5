package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/usage"
)

type ledgerShow struct {
	ID string `arg:"" help:"A user (usr_…), a call (call_…) or a request id."`
	ledgerFile
	JSON bool `help:"Print JSON; the proof is whole in it, with every batch of its chains."`
}

func (c ledgerShow) Run(e *env) error {
	return e.withBooks(c.ledgerFile, func(b books) error {
		if id.Is("usr", c.ID) {
			return b.showUser(e.ctx, e.stdout, c.ID, c.JSON)
		}
		entries, err := b.usage.Calls(e.ctx, c.ID)
		if err != nil {
			return err
		}
		if len(entries) == 0 { // it may be open
			entries = []usage.Entry{{ID: c.ID}}
		}
		var broken error
		for _, entry := range entries {
			s, err := b.story(e.ctx, entry)
			if errors.Is(err, credit.ErrNoCall) && entry.At.IsZero() {
				return Exit(exitFailed, fmt.Errorf("the ledger knows no %q; give a user (usr_…), a call (call_…) or the request id of an answer", c.ID))
			}
			if err != nil {
				return err
			}
			if err := s.print(e.stdout, c.JSON); err != nil {
				return Exit(exitIO, err)
			}
			broken = errors.Join(broken, s.broken)
		}
		if broken != nil {
			return Exit(exitFailed, fmt.Errorf("%w; run rephlo ledger verify", broken))
		}
		return nil
	})
}

// callStory is everything that is stored about one call.
type callStory struct {
	Call    string        `json:"call"`
	User    string        `json:"user"`
	State   string        `json:"state"`   // open, settled, released, free
	Usage   *callUsage    `json:"usage"`   // null while it is open
	Receipt *callReceipt  `json:"receipt"` // null for a free call
	Grants  []grantLine   `json:"grants"`
	Proof   *credit.Proof `json:"proof"`
	Holds   bool          `json:"proofHolds"`
	broken  error
}

type callUsage struct {
	Request     string        `json:"request"`
	Model       string        `json:"model"`
	VendorModel string        `json:"vendorModel"`
	Provider    string        `json:"provider"`
	Operation   string        `json:"operation"`
	Status      string        `json:"status"`
	Ending      string        `json:"ending"`
	Counts      string        `json:"counts"` // where they come from
	At          time.Time     `json:"at"`
	Charged     money.Credits `json:"charged"`
	Increment   money.Credits `json:"increment"` // the sum of the lines is rounded up to it
	Lines       []priceLine   `json:"priceLines"`
}

type priceLine struct {
	Class      string        `json:"class"`
	Quantity   int64         `json:"quantity"`
	PerMillion money.Credits `json:"creditsPerMillion"`
	Credits    money.Credits `json:"credits"`
}

type callReceipt struct {
	Held        money.Credits `json:"held"`
	Charged     money.Credits `json:"charged"`
	Uncollected money.Credits `json:"uncollected"`
	Parts       []partLine    `json:"parts"`
}

type partLine struct {
	Grant   credit.GrantID `json:"grant"`
	Held    money.Credits  `json:"held"`
	Charged money.Credits  `json:"charged"`
}

func usageOf(e usage.Entry) *callUsage {
	u := &callUsage{
		Request: e.RequestID, Model: e.ModelID, VendorModel: e.VendorModel, Provider: e.Provider, Operation: e.Operation,
		Status: e.Status, Ending: e.Ending, Counts: e.Source, At: e.At, Charged: e.Charged, Increment: e.Terms.Increment, Lines: []priceLine{},
	}
	for _, l := range e.Lines() {
		u.Lines = append(u.Lines, priceLine(l))
	}
	return u
}

// story gathers what is stored about a call.
func (b books) story(ctx context.Context, e usage.Entry) (callStory, error) {
	s := callStory{Call: e.ID, User: e.UserID, State: "free", Grants: []grantLine{}, Holds: true}
	if !e.At.IsZero() {
		s.Usage = usageOf(e)
	}
	r, p, err := b.credits.Explain(ctx, e.ID)
	if errors.Is(err, credit.ErrNoCall) && s.Usage != nil && e.Charged == 0 {
		return s, nil // it needed no credits
	}
	if err != nil {
		return s, err
	}
	s.Proof, s.broken = &p, p.Check()
	s.Holds = s.broken == nil
	s.Receipt = &callReceipt{Held: r.Held, Charged: r.Charged, Uncollected: r.Uncollected, Parts: []partLine{}}
	for _, part := range r.Parts {
		s.Receipt.Parts = append(s.Receipt.Parts, partLine(part))
	}
	s.State = "open"
	for _, t := range p.Transfers {
		switch {
		case t.Ref == e.ID && t.Kind == "charge":
			s.State = "settled"
		case t.Ref == e.ID && t.Kind == "release" && s.State == "open":
			s.State = "released"
		}
		s.User = t.User
	}
	all, err := b.credits.GrantsOf(ctx, s.User)
	if err != nil {
		return s, err
	}
	for _, g := range all {
		for _, part := range r.Parts {
			if part.Grant == g.ID {
				s.Grants = append(s.Grants, lineOf(g))
			}
		}
	}
	return s, nil
}

func (s callStory) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	p := &printer{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	p.line("call %s of user %s: %s", s.Call, s.User, s.State)
	if u := s.Usage; u != nil {
		p.line("request %s, %s, model %s (%s %s), %s: %s, %s, counts %s", u.Request, stamp(u.At), u.Model, u.Provider, u.VendorModel, u.Operation, u.Status, u.Ending, u.Counts)
		p.line("price:")
		for _, l := range u.Lines {
			p.line("  %s\t%s\tat %s for a million\t%s", l.Class, grouped(l.Quantity), l.PerMillion, l.Credits)
		}
		p.line("  charged\t%s\trounded up to %s", u.Charged, u.Increment)
	}
	if r := s.Receipt; r != nil {
		p.line("held %s, charged %s, uncollected %s; parts:", r.Held, r.Charged, r.Uncollected)
		grants := map[string]grantLine{}
		for _, g := range s.Grants {
			grants[g.ID] = g
		}
		for _, part := range r.Parts {
			g := grants[part.Grant.String()]
			p.line("  %s\t%s\t%s\theld %s\tcharged %s", part.Grant, g.Source, g.Ref, part.Held, part.Charged)
		}
	}
	if s.Proof != nil {
		p.proof(*s.Proof, s.broken)
	}
	p.line("")
	return p.end()
}

// printer writes lines in columns and keeps the first error.
type printer struct {
	w   *tabwriter.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	_, err := fmt.Fprintf(p.w, format+"\n", args...)
	p.err = errors.Join(p.err, err)
}

func (p *printer) end() error { return errors.Join(p.err, p.w.Flush()) }

// proof prints where the transfers are and what they lead to.
func (p *printer) proof(proof credit.Proof, broken error) {
	p.line("transfers:")
	for _, t := range proof.Transfers {
		p.line("  lane %d seq %s\t%s\t%s\t%s\t%s\tbatch %s, path of %s", t.Lane, grouped(t.Seq), t.Kind, t.Amount, t.Grant, stamp(t.At),
			grouped(t.Batch), counted(int64(len(t.Path)), "hash"))
	}
	p.line("inclusion:")
	for _, c := range proof.Chains {
		if len(c.Links) == 0 {
			continue
		}
		first, last := c.Links[0], c.Links[len(c.Links)-1]
		p.line("  lane %d\tbatch %s root %s\t%s on to batch %s, hash %s", c.Lane, grouped(first.Batch), short(first.Root), counted(int64(len(c.Links)-1), "batch"), grouped(last.Batch), short(c.Head))
		if c.Signed == nil {
			p.line("  \tno root of that day is signed yet")
			continue
		}
		p.line("  \troot of %s\t%s, signed by %s", c.Signed.Day.Format(time.DateOnly), short(credit.Hash(c.Signed.Root)), c.Signed.Key.ID)
	}
	if broken != nil {
		p.line("  FAIL %v", broken)
	} else {
		p.line("  the proof holds")
	}
}

func short(h credit.Hash) string {
	s := h.String()
	return s[:8] + "…" + s[len(s)-4:]
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

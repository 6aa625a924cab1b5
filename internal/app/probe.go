package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
)

const (
	probeTimeout = 20 * time.Second // of each of the two requests
	maxProbe     = 1 << 20          // bytes of an answer that are read
)

// prober tries the keys of providers for administrators.
type prober struct {
	vendors map[string]llm.Vendor
	now     func() time.Time
}

// Probe asks for the list of models, and for one token.
func (p prober) Probe(ctx context.Context, at *catalog.Provider, vendorModel string) catalog.Probe {
	vendor := p.vendors[at.Vendor]
	if vendor == nil {
		skipped := catalog.ProbeStep{Skipped: true, Message: "This program does not speak the protocol of the vendor."}
		return catalog.Probe{Models: skipped, Call: skipped}
	}
	target := probeTarget(at, vendorModel)
	var out catalog.Probe
	out.Models.Skipped, out.Call.Skipped = true, true
	if lister, ok := vendor.(llm.Pinger); ok {
		out.Models = p.step(func() error { return lister.Ping(ctx, target) })
	}
	if vendorModel != "" && vendor.Native(llm.OpChat) {
		out.Call = p.step(func() error { return oneToken(ctx, vendor, target, at) })
	}
	return out
}

func probeTarget(at *catalog.Provider, vendorModel string) llm.Target {
	return llm.Target{
		BaseURL: at.BaseURL, Key: at.Key, Model: vendorModel, Header: at.Options.Headers, AllowPrivate: at.AllowPrivate,
		Options: llm.Options{APIVersion: at.Options.APIVersion}, Timeouts: llm.Timeouts{Total: probeTimeout},
	}
}

func (p prober) step(f func() error) catalog.ProbeStep {
	began := p.now()
	err := f()
	step := catalog.ProbeStep{OK: err == nil, TookMS: p.now().Sub(began).Milliseconds()}
	if err != nil {
		said := fault.From(err)
		step.Code, step.Message = said.Code, said.Message
	}
	if failure, ok := errors.AsType[*llm.Failure](err); ok {
		step.Status = failure.Status
	} else if err == nil {
		step.Status = 200
	}
	return step
}

// oneToken makes the smallest call there is.
func oneToken(ctx context.Context, vendor llm.Vendor, to llm.Target, at *catalog.Provider) error {
	limit := "max_tokens"
	if at.Options.MaxTokensKey != "" {
		limit = at.Options.MaxTokensKey
	} else if at.Vendor == "openai" || at.Vendor == "azure" {
		limit = "max_completion_tokens"
	}
	body, err := json.Marshal(map[string]any{
		"model": to.Model, limit: 1, "messages": []map[string]string{{"role": "user", "content": "Hi"}},
	})
	if err != nil {
		return err
	}
	reply, err := vendor.Forward(ctx, to, llm.Call{Op: llm.OpChat, Parts: [][]byte{body}})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, maxProbe))
	if cerr := reply.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return llm.Broken(err)
	}
	return nil
}

// reasonOf is why a deployment gets no calls, where its state does not say it.
func reasonOf(s route.Status) string {
	if s.Why == 0 {
		return ""
	}
	return s.Why.String()
}

// deploymentHealth says how the deployments do that were used, with the id of
// their key.
func deploymentHealth(models *catalog.Service, table *route.Table) []catalog.DeploymentHealth {
	var out []catalog.DeploymentHealth
	for _, s := range table.Statuses() {
		h := catalog.DeploymentHealth{
			Provider: s.Provider, VendorModel: s.Model, KeyID: models.KeyOf(s.Provider, s.Credential), State: string(s.State), InFlight: s.InFlight,
			Reason: reasonOf(s), Calls: s.Calls, Faults: s.Faults,
		}
		if !s.Until.IsZero() {
			h.Until = &s.Until
		}
		out = append(out, h)
	}
	return out
}

package app

import (
	"context"
	"errors"
	"sync"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
)

// keyWatch looks after the providers' keys by what the calls of this process
// have met.
type keyWatch struct {
	models  *catalog.Service
	table   *route.Table
	vendors map[string]llm.Vendor
	pending []route.ID // to disable; only disable uses it
}

const refusedKey = "The provider refused this key three times in a row."

// disable takes keys out of use that a provider keeps refusing, in all
// processes. A key that cannot be written down is tried again at the next turn.
func (k *keyWatch) disable(ctx context.Context) error {
	k.pending = append(k.pending, k.table.Struck()...)
	for len(k.pending) > 0 {
		id := k.pending[0]
		switch at := k.models.Provider(id.Provider, id.Credential); {
		case at == nil || at.KeyID == "": // it has gone already, or the service wants none
		case k.works(ctx, at):
			k.table.Spare(id)
		default:
			if err := k.models.DisableKey(ctx, id.Provider, at.KeyID, refusedKey); err != nil && !errors.Is(err, fault.ErrNotFound) {
				return err
			}
		}
		k.pending = k.pending[1:]
	}
	return nil
}

// works reports whether the key is good, so that only a model was refused. Of
// services that others run, the list of models may be free to see.
func (k *keyWatch) works(ctx context.Context, at *catalog.Provider) bool {
	lister, ok := k.vendors[at.Vendor].(llm.Pinger)
	return ok && at.Vendor != "compat" && lister.Ping(ctx, probeTarget(at, "")) == nil
}

// atOnce is how many probes run beside each other.
const atOnce = 4

// probe asks the accounts of deployments that rest for the list of models,
// which costs nothing, and forgets deployments that the catalogue does not have
// any more: a key that comes back begins anew.
func (k *keyWatch) probe(ctx context.Context) error {
	k.table.Forget(func(id route.ID) bool { return k.models.Provider(id.Provider, id.Credential) != nil })
	resting := map[*catalog.Provider][]route.ID{} // by account
	for _, id := range k.table.Askable() {
		if at := k.models.Provider(id.Provider, id.Credential); at != nil {
			resting[at] = append(resting[at], id)
		}
	}
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for at, ids := range resting {
		lister, ok := k.vendors[at.Vendor].(llm.Pinger)
		if !ok {
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-places }()
			err := lister.Ping(ctx, probeTarget(at, ""))
			if ctx.Err() != nil {
				return
			}
			for _, id := range ids {
				k.table.Probed(id, llm.KindOf(err))
			}
		})
	}
	return nil
}

package credit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/seal"
)

const (
	// rootDelay is how long after midnight a day's root is made: transactions
	// that began before it have ended by then.
	rootDelay = 5 * time.Minute
	// rootKeyLife is how long a key signs before it gets a successor.
	rootKeyLife = 365 * 24 * time.Hour
)

// errFuture says that the clock was or is wrong: what is signed of a day cannot
// be signed anew.
var errFuture = errors.New("the last root is of a day that has not ended")

var errNoBox = errors.New("no master key to open the signing key with")

// SignRoots makes the root of every day that has ended at least five minutes
// before now and has none yet, in order, and returns how many. A ledger
// without a batch has no roots. Run it every few minutes; several processes
// may at once: the first one's root stands.
func (s *Service) SignRoots(ctx context.Context, now time.Time) (int, error) {
	until := dayNumber(now.Add(-rootDelay)) // the day that has not ended
	if s.rootDay.Load() >= until-1 {
		return 0, nil
	}
	n := 0
	err := s.signRoots(ctx, now, until, &n)
	if err != nil {
		return n, fmt.Errorf("sign the ledger's root: %w", err)
	}
	return n, nil
}

func (s *Service) signRoots(ctx context.Context, now time.Time, until int64, n *int) error {
	day, prev, err := s.nextRoot(ctx)
	if err != nil || day == noDay {
		return err
	}
	if day > until {
		return fmt.Errorf("%w: there is one of %s already; correct the clock of this machine, or wait for that day", errFuture, dayTime(day-1).Format(time.DateOnly))
	}
	if day == until {
		s.rootDay.Store(until - 1)
		return nil
	}
	key, err := s.rootSigner(ctx, now)
	if err != nil {
		return err
	}
	for ; day < until; day++ {
		heads, err := s.store.headsBefore(ctx, dayTime(day+1).UnixMicro())
		if err != nil {
			return err
		}
		r := Root{Day: dayTime(day), Heads: heads, Prev: prev, Root: rootOf(heads), Key: key.RootKey}
		r.Signature = ed25519.Sign(key.private, r.signed())
		added, err := s.store.addRoot(ctx, r)
		if err != nil {
			return err
		}
		if !added {
			return nil // another process is at it
		}
		prev = r.Root
		*n++
		s.log.InfoContext(ctx, "ledger root", "day", r.Day.Format(time.DateOnly), "root", fmt.Sprintf("%x", r.Root), "prev", fmt.Sprintf("%x", r.Prev),
			"lanes", len(heads), "key", r.Key.ID, "signature", fmt.Sprintf("%x", r.Signature))
	}
	s.rootDay.Store(until - 1)
	return nil
}

// noDay says that there is nothing to sign.
const noDay = int64(-1 << 62)

// nextRoot returns the first day without a root and the root before it.
func (s *Service) nextRoot(ctx context.Context) (day int64, prev digest, err error) {
	last, ok, err := s.store.lastRoot(ctx)
	if err != nil {
		return 0, digest{}, err
	}
	if ok {
		return dayNumber(last.Day) + 1, last.Root, nil
	}
	at, ok, err := s.store.firstBatchAt(ctx)
	if err != nil || !ok {
		return noDay, digest{}, err
	}
	return dayNumber(time.UnixMicro(at)), digest{}, nil
}

// rootSigner is a key that can sign.
type rootSigner struct {
	RootKey
	private ed25519.PrivateKey
}

// rootSigner returns the newest key, or makes the first one or a successor.
func (s *Service) rootSigner(ctx context.Context, now time.Time) (rootSigner, error) {
	if s.box == nil {
		return rootSigner{}, errNoBox
	}
	var out rootSigner
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		newest, at, err := s.newestKey(ctx)
		if err != nil {
			return err
		}
		if newest.No > 0 && now.Sub(at) < rootKeyLife {
			out = newest
			return nil
		}
		out, err = s.makeRootKey(ctx, newest, now)
		return err
	})
	return out, err
}

// newestKey returns the key that signs and when it was made; No is 0 when there
// is none.
func (s *Service) newestKey(ctx context.Context) (rootSigner, time.Time, error) {
	k, sealed, at, err := s.store.newestRootKey(ctx)
	if err != nil || k.No == 0 {
		return rootSigner{}, time.Time{}, err
	}
	private, err := s.box.Open(sealed, keyPlace(k.ID))
	if err != nil || len(private) != ed25519.PrivateKeySize {
		return rootSigner{}, time.Time{}, fmt.Errorf("the signing key %s: %w; start with the master key that this database was made with", k.ID, errors.Join(err, seal.ErrSealed))
	}
	return rootSigner{k, private}, time.UnixMicro(at), nil
}

// makeRootKey stores a new key that before, if there is one, vouches for.
func (s *Service) makeRootKey(ctx context.Context, before rootSigner, now time.Time) (rootSigner, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return rootSigner{}, fmt.Errorf("make signing key: %w", err)
	}
	k := rootSigner{RootKey{ID: keyID(public), No: before.No + 1, Public: public}, private}
	voucher := private
	if before.No > 0 {
		voucher = before.private
	}
	k.Signature = ed25519.Sign(voucher, k.vouched())
	sealed, err := s.box.Seal(private, keyPlace(k.ID))
	if err != nil {
		return rootSigner{}, fmt.Errorf("seal signing key: %w", err)
	}
	if err := s.store.addRootKey(ctx, k.RootKey, sealed, now.UnixMicro()); err != nil {
		return rootSigner{}, err
	}
	s.log.InfoContext(ctx, "ledger root key made", "key", k.ID, "no", k.No, "public", fmt.Sprintf("%x", k.Public))
	return k, nil
}

func keyPlace(id string) string { return "credit_root_key|private|" + id }

// Roots calls each for the roots from the day of from on, in order.
func (s *Service) Roots(ctx context.Context, from time.Time, each func(Root) error) error {
	return s.db.ReadTx(ctx, func(ctx context.Context) error {
		all, err := s.store.rootsFrom(ctx, dayNumber(from))
		if err != nil {
			return err
		}
		keys, err := s.store.rootKeys(ctx)
		if err != nil {
			return err
		}
		byID := map[string]RootKey{}
		for _, k := range keys {
			byID[k.ID] = k
		}
		for _, r := range all {
			root, err := r.decoded(byID)
			if err != nil {
				return err
			}
			if err := each(root); err != nil {
				return err
			}
		}
		return nil
	})
}

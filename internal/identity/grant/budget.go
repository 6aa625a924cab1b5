package grant

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// Faults of limits on what an app may spend.
var (
	ErrNoApp  = fault.New(fault.NotFound, "not_found", "This app has no access to your account.")
	ErrBudget = fault.New(fault.Unprocessable, "validation_error", "The limit must be more than 0 credits; leave it out for none.").At("creditLimitPerMonth")
)

const busBudget = "grant.budget"

// budget is what a user lets an app spend in a calendar month (UTC); as JSON it
// is the subject of a bus message.
type budget struct {
	UserID   string `json:"u"`
	ClientID string `json:"c"`
	Limit    int64  `json:"l"` // 0: none
	At       int64  `json:"a"` // when it was set, microseconds
}

// budgets are the limits in force, as this process knows them. The later of
// two is right, so that the order of messages does not matter.
type budgets struct {
	mu       sync.RWMutex
	of       map[string]budget // guarded by mu, by ConsentSubject
	caughtUp time.Time         // guarded by mu: the last successful read
}

func (b *budgets) merge(list ...budget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, next := range list {
		key := ConsentSubject(next.UserID, next.ClientID)
		if b.of[key].At > next.At {
			continue
		}
		if b.of[key] = next; next.Limit == 0 && next.At < b.caughtUp.Add(-time.Hour).UnixMicro() {
			delete(b.of, key) // no older message can come any more
		}
	}
}

// SpendsUpTo returns what a user lets an app spend in a calendar month (UTC), as
// this process knows it; 0 is without a limit. It reads memory only.
func (s *Service) SpendsUpTo(userID, clientID string) money.Credits {
	b := &s.budgets
	b.mu.RLock()
	defer b.mu.RUnlock()
	return money.Credits(b.of[ConsentSubject(userID, clientID)].Limit)
}

// BudgetOwner names the purse that what an app spends of a user is counted in.
func BudgetOwner(userID, clientID string) string {
	sum := sha256.Sum256([]byte(clientID)) // an id can be a long address
	return userID + "/app/" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Limit sets what a user lets an app spend in a calendar month; nil is without
// a limit. It is in force here at once and elsewhere within seconds, for calls
// that begin then. ErrNoApp and ErrBudget.
func (s *Service) Limit(ctx context.Context, userID, clientID string, limit *money.Credits) error {
	b := budget{UserID: userID, ClientID: clientID, At: s.now().UnixMicro()}
	if limit != nil {
		if b.Limit = int64(*limit); b.Limit <= 0 {
			return ErrBudget
		}
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		apps, err := s.store.apps(ctx, userID, s.now())
		if err != nil {
			return err
		}
		for _, app := range apps {
			if app.ClientID == clientID {
				return s.setBudget(ctx, b)
			}
		}
		return ErrNoApp
	})
}

// ParseLimit reads what a person typed; nothing is without a limit. ErrBudget.
func ParseLimit(text string) (*money.Credits, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil //nolint:nilnil // no limit is no error
	}
	c, err := money.Parse(text)
	if err != nil || c <= 0 {
		return nil, ErrBudget
	}
	return &c, nil
}

func (s *Service) setBudget(ctx context.Context, b budget) error {
	message, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("limit an app: %w", err)
	}
	if err := s.store.setBudget(ctx, b); err != nil {
		return err
	}
	return s.bus.Publish(ctx, busBudget, string(message))
}

// heardBudget takes a limit from the bus.
func (s *Service) heardBudget(message string) {
	var b budget
	if err := json.Unmarshal([]byte(message), &b); err == nil { // else the next read has it
		s.budgets.merge(b)
	}
}

// readBudgets merges the limits that were set since into memory.
func (s *Service) readBudgets(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	started := s.now()
	list, err := s.store.budgets(ctx, since)
	if err != nil {
		return err
	}
	s.budgets.merge(list...)
	s.budgets.mu.Lock()
	defer s.budgets.mu.Unlock()
	s.budgets.caughtUp = started
	return nil
}

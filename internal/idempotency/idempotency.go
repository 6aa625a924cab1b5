package idempotency

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

const (
	life      = 24 * time.Hour
	patience  = time.Minute      // of a request that has a key
	claimLife = 90 * time.Second // longer, so that a living request is not overtaken
	maxKey    = 255
	maxAnswer = 1 << 20
)

var (
	errKey   = fault.New(fault.Invalid, "invalid_request", "An Idempotency-Key has 1 to 255 characters, and a request has one.").At(web.KeyHeader)
	errInUse = fault.New(fault.Conflict, "idempotency_key_in_use", "The first request with this Idempotency-Key has not ended. Repeat this one in a moment.").At(web.KeyHeader).After(2 * time.Second)
)

// Needs is what New takes.
type Needs struct {
	DB   *sqldb.DB
	Log  *slog.Logger
	Now  func() time.Time
	Box  *seal.Box
	User func(ctx context.Context) string // who is signed in; "" for nobody
}

// Service remembers what requests answered. It is safe for concurrent use.
type Service struct {
	store store
	log   *slog.Logger
	now   func() time.Time
	box   *seal.Box
	key   []byte
	user  func(ctx context.Context) string
}

// New returns a Service.
func New(n Needs) *Service {
	return &Service{store: store{n.DB}, log: n.Log, now: n.Now, box: n.Box, key: n.Box.Subkey("idempotency/v1"), user: n.User}
}

// call is one request: the name of its key, the hash of what it asks for, and
// the attempt that fences it off from others.
type call struct{ id, hash, attempt string }

// call hashes with a key: what is asked for may hold a password, which a plain
// hash would give away to whoever guesses.
func (s *Service) call(caller, method, path, key, query string, body []byte) call {
	return call{
		id:      s.mac([]byte(caller), []byte(method), []byte(path), []byte(key)),
		hash:    s.mac([]byte(query), body),
		attempt: id.New("try", s.now()),
	}
}

func (s *Service) mac(parts ...[]byte) string {
	h := hmac.New(sha256.New, s.key)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// begin claims the key for c and returns nil, or returns the earlier answer.
// Without a database nothing is done: a change that could happen twice is worse
// than one that does not happen.
func (s *Service) begin(ctx context.Context, c call) (*answer, error) {
	for range 3 { // a claim may be given up between the two statements
		now := s.now()
		ours, err := s.store.claim(ctx, c, now, now.Add(claimLife), now.Add(-life))
		if err != nil {
			return nil, fault.ErrUnavailable.Because(err)
		}
		if ours {
			return nil, nil
		}
		hash, sealed, err := s.store.find(ctx, c.id)
		switch {
		case errors.Is(err, errNone):
			continue
		case err != nil:
			return nil, fault.ErrUnavailable.Because(err)
		case hash != c.hash:
			return nil, web.ErrKeyReuse
		case sealed == nil:
			return nil, errInUse
		}
		return s.open(c, sealed)
	}
	return nil, errInUse
}

func (s *Service) open(c call, sealed []byte) (*answer, error) {
	plain, err := s.box.Open(sealed, c.place())
	if err != nil {
		return nil, err
	}
	a := &answer{}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	return a, d.Decode(a)
}

// end keeps the answer of c, or gives the key up when there is none to keep.
// When that fails the claim runs out by itself.
func (s *Service) end(ctx context.Context, c call, a *answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var err error
	if a == nil {
		err = s.store.giveUp(ctx, c)
	} else {
		err = s.keep(ctx, c, a)
	}
	if err != nil {
		s.log.WarnContext(ctx, "the answer to an idempotency key is not kept", "err", err)
	}
}

func (s *Service) keep(ctx context.Context, c call, a *answer) error {
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealed, err := s.box.Seal(plain, c.place())
	if err != nil {
		return err
	}
	return s.store.keep(ctx, c, sealed)
}

func (c call) place() string { return "idempotency/" + c.id }

// Sweep forgets keys that are older than a day.
func (s *Service) Sweep(ctx context.Context) error { return s.store.sweep(ctx, s.now().Add(-life)) }

// answer is what a request answered: either a body or a fault, which gets the
// id of the request that repeats it.
type answer struct {
	Status int               `json:"status,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
	Fault  *refusal          `json:"fault,omitempty"`
}

type refusal struct {
	Kind    fault.Kind     `json:"kind"`
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Param   string         `json:"param,omitempty"`
	Details map[string]any `json:"details,omitempty"`
	NoRetry bool           `json:"noRetry,omitempty"`
}

func failed(f *fault.Error) *answer {
	if !keeps(f.Kind.Status()) {
		return nil
	}
	return &answer{Fault: &refusal{f.Kind, f.Code, f.Message, f.Param, f.Details, f.NoRetry}}
}

func (r *refusal) restore() error {
	return &fault.Error{Kind: r.Kind, Code: r.Code, Message: r.Message, Param: r.Param, Details: r.Details, NoRetry: r.NoRetry}
}

// keeps reports whether another attempt would be answered the same.
func keeps(status int) bool {
	switch status {
	case 400, 401, 403, 429:
		return false
	}
	return status < 500
}

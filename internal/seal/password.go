package seal

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/rephlo/rephlo/internal/fault"
)

// Parameters of new hashes (reliability: argon2id, 46 MiB, one pass). A stored
// hash with others still verifies and asks to be renewed.
const (
	MemoryKiB = 47_104
	passes    = 1
	threads   = 1
	saltBytes = 16
	hashBytes = 32

	// maxMemoryKiB bounds what a stored hash may ask for, so that a damaged row
	// cannot exhaust the machine.
	maxMemoryKiB = 256 << 10
	maxPasses    = 16

	queueFactor = 8
	maxWait     = 2 * time.Second
)

// ErrBusy answers when more people sign in at once than the machine can hash
// for. Nothing was hashed and no attempt was counted.
var ErrBusy = fault.New(fault.Unavailable, "sign_in_busy", "Too many people are signing in at this moment. Try again in a few seconds.")

// Passwords hashes and verifies in a bounded pool. It is safe for concurrent
// use.
type Passwords struct {
	memory  uint32        // of new hashes, KiB
	running chan struct{} // one place per hash at work
	waiting chan struct{} // one place per hash that waits or works
}

// NewPasswords returns a pool that works on half the cores.
func NewPasswords() *Passwords { return NewPasswordsOf(MemoryKiB) }

// NewPasswordsOf returns a pool whose new hashes take memoryKiB, at least 8 and
// at most 262,144: less than MemoryKiB is for tests, which hash a lot.
func NewPasswordsOf(memoryKiB uint32) *Passwords {
	n := max(1, runtime.NumCPU()/2)
	return &Passwords{memory: memoryKiB, running: make(chan struct{}, n), waiting: make(chan struct{}, n*(queueFactor+1))}
}

// Hash returns password's hash as PHC text. Passwords are compared in Unicode
// form NFC, so that two keyboards agree.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	release, err := p.enter(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return p.hash(password, salt), nil
}

// Verify reports whether phc is password's hash, and whether it should be made
// anew because the parameters have changed. An empty phc stands for somebody
// who does not exist: it takes as long and is never right.
func (p *Passwords) Verify(ctx context.Context, phc, password string) (ok, renew bool, err error) {
	release, err := p.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	known := phc != ""
	h := p.dummy()
	if known {
		if h, err = parse(phc); err != nil {
			return false, false, err
		}
	}
	got := argon2.IDKey(norm.NFC.Bytes([]byte(password)), h.salt, h.passes, h.memory, h.threads, uint32(len(h.sum))) //nolint:gosec // parse bounds it
	ok = subtle.ConstantTimeCompare(got, h.sum) == 1 && known
	return ok, ok && (h.memory != p.memory || h.passes != passes || h.threads != threads), nil
}

// enter waits for a place in the pool: it fails at once when the queue is
// full, and after two seconds otherwise.
func (p *Passwords) enter(ctx context.Context) (release func(), err error) {
	select {
	case p.waiting <- struct{}{}:
	default:
		return nil, ErrBusy.After(retryAfter())
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case p.running <- struct{}{}:
		return func() { <-p.running; <-p.waiting }, nil
	case <-timer.C:
		err = ErrBusy.After(retryAfter())
	case <-ctx.Done():
		err = ctx.Err()
	}
	<-p.waiting
	return nil, err
}

// retryAfter spreads those who were sent away over a few seconds.
func retryAfter() time.Duration {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return time.Duration(2+b[0]%4) * time.Second
}

// dummy is verified for unknown names, so that both take as long: it has the
// parameters of new hashes and is the hash of nothing.
func (p *Passwords) dummy() phc {
	return phc{memory: p.memory, passes: passes, threads: threads, salt: make([]byte, saltBytes), sum: make([]byte, hashBytes)}
}

func (p *Passwords) hash(password string, salt []byte) string {
	sum := argon2.IDKey(norm.NFC.Bytes([]byte(password)), salt, passes, p.memory, threads, hashBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, passes, threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// phc is a parsed hash.
type phc struct {
	memory, passes uint32
	threads        uint8
	salt, sum      []byte
}

// parse reads the PHC string format of argon2id.
func parse(text string) (phc, error) {
	var h phc
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, fmt.Errorf("the stored password hash is not of a known form")
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil || n != 3 {
		return h, fmt.Errorf("the stored password hash has bad parameters")
	}
	if h.memory < 8 || h.memory > maxMemoryKiB || h.passes < 1 || h.passes > maxPasses || h.threads < 1 {
		return h, fmt.Errorf("the stored password hash asks for parameters out of bounds")
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, fmt.Errorf("the stored password hash has a bad salt")
	}
	if h.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.sum) < 16 || len(h.sum) > 64 {
		return h, fmt.Errorf("the stored password hash has a bad sum")
	}
	return h, nil
}

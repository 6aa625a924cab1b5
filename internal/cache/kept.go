package cache

import (
	"container/list"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rephlo/rephlo/internal/seal"
)

// Kept holds bytes for a while: in memory up to a bound, above which what was
// used longest ago goes, and in Redis where there is one, sealed, so that other
// processes have them too. It is safe for concurrent use.
type Kept struct {
	needs KeptNeeds
	mu    sync.Mutex
	all   map[KeptKey]*list.Element // guarded by mu
	order *list.List                // guarded by mu: what was used last is in front
	size  int64                     // guarded by mu
}

// KeptKey names bytes: a hash of all that they depend on.
type KeptKey [32]byte

// KeptNeeds is what a Kept works with.
type KeptNeeds struct {
	Now   func() time.Time
	Redis *Redis    // nil: memory alone
	Box   *seal.Box // for Redis
	Limit int64     // bytes in memory, keys and the list around them included
}

type keptEntry struct {
	key   KeptKey
	value []byte
	until int64 // microseconds
}

// keptOverhead is what an entry takes beside its value, about.
const keptOverhead = 256

func (e *keptEntry) size() int64 { return int64(len(e.value)) + keptOverhead }

// NewKept returns a Kept that has nothing.
func NewKept(n KeptNeeds) *Kept {
	return &Kept{needs: n, all: map[KeptKey]*list.Element{}, order: list.New()}
}

// Get returns what is kept under key, which must not be changed. It asks Redis
// when memory has nothing, for a moment; ctx ends that.
func (k *Kept) Get(ctx context.Context, key KeptKey) ([]byte, bool) {
	now := k.needs.Now().UnixMicro()
	if value, ok := k.remembered(key, now); ok {
		return value, true
	}
	if k.needs.Redis == nil {
		return nil, false
	}
	place := keptPlace(key)
	sealed, ok := k.needs.Redis.get(ctx, place)
	if !ok {
		return nil, false
	}
	plain, err := k.needs.Box.Open(sealed, place)
	if err != nil || len(plain) < 8 {
		return nil, false // of another master key
	}
	until := int64(binary.BigEndian.Uint64(plain)) //nolint:gosec // put wrote it
	if until <= now {
		return nil, false
	}
	k.remember(&keptEntry{key, plain[8:], until})
	return plain[8:], true
}

// Put keeps value, which is the store's from now on, for life. When Redis does
// not take it this process has it alone.
func (k *Kept) Put(ctx context.Context, key KeptKey, value []byte, life time.Duration) {
	until := k.needs.Now().Add(life).UnixMicro()
	k.remember(&keptEntry{key, value, until})
	if k.needs.Redis == nil {
		return
	}
	place := keptPlace(key)
	plain := append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(until)), value...)
	if sealed, err := k.needs.Box.Seal(plain, place); err == nil {
		k.needs.Redis.set(ctx, place, sealed, life)
	}
}

// Size returns how many bytes of memory are taken.
func (k *Kept) Size() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.size
}

func keptPlace(key KeptKey) string { return "rephlo:kept:" + hex.EncodeToString(key[:]) }

func (k *Kept) remembered(key KeptKey, now int64) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.all[key]
	if at == nil {
		return nil, false
	}
	e := entryAt(at)
	if e.until <= now {
		k.forget(at)
		return nil, false
	}
	k.order.MoveToFront(at)
	return e.value, true
}

func (k *Kept) remember(e *keptEntry) {
	if e.size() > k.needs.Limit {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := k.all[e.key]; at != nil {
		k.forget(at)
	}
	k.all[e.key] = k.order.PushFront(e)
	for k.size += e.size(); k.size > k.needs.Limit; {
		k.forget(k.order.Back())
	}
}

// forget drops an entry. k.mu is held.
func (k *Kept) forget(at *list.Element) {
	e := entryAt(at)
	k.order.Remove(at)
	delete(k.all, e.key)
	k.size -= e.size()
}

func entryAt(at *list.Element) *keptEntry {
	return at.Value.(*keptEntry) //nolint:forcetypeassert // the list has nothing else
}

// get returns what Redis has; an outage is nothing.
func (r *Redis) get(ctx context.Context, key string) ([]byte, bool) {
	if r.down.Load() {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	b, err := r.client.Get(ctx, key).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) && !errors.Is(err, context.Canceled) {
		r.fail(err)
	}
	return b, err == nil
}

func (r *Redis) set(ctx context.Context, key string, value []byte, life time.Duration) {
	if r.down.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := r.client.Set(ctx, key, value, life).Err(); err != nil && !errors.Is(err, context.Canceled) {
		r.fail(err)
	}
}

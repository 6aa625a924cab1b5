package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

const (
	redisTimeout = 50 * time.Millisecond
	// probeEvery is how often a Redis that is gone is looked for.
	probeEvery = 500 * time.Millisecond
	redisConns = 8
)

// errDown says that Redis does not answer; it is asked again by the probe only.
var errDown = errors.New("redis does not answer")

// Redis is a server that processes share. Every call has a short limit; after
// the first that fails, calls fail at once until a probe has succeeded.
type Redis struct {
	client  *redis.Client
	log     *slog.Logger
	timeout time.Duration
	down    atomic.Bool
	probing sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends the probe
	stop    context.CancelFunc
}

// OpenRedis returns the server at url, redis://user:password@host:port/db or
// rediss://. It connects when it is first used.
func OpenRedis(url string, log *slog.Logger) (*Redis, error) {
	return openRedis(url, log, redisTimeout)
}

func openRedis(url string, log *slog.Logger, timeout time.Duration) (*Redis, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the address of Redis is not like redis://user:password@host:6379/0") // err may repeat the password
	}
	logging.Disable() // it logs each lost connection; we say once that Redis is gone
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.MaxRetries, o.ContextTimeoutEnabled, o.DisableIdentity, o.PoolSize = -1, true, true, redisConns
	r := &Redis{client: redis.NewClient(o), log: log, timeout: timeout}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Close ends the connections and the probe.
func (r *Redis) Close() error {
	r.stop()
	r.probing.Wait()
	return r.client.Close()
}

// Up reports whether Redis answered when it was asked last.
func (r *Redis) Up() bool { return !r.down.Load() }

// run runs a script and returns the integers it answers with.
func (r *Redis) run(s *redis.Script, key string, args ...any) ([]int64, error) {
	if r.down.Load() {
		return nil, errDown
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
	defer cancel()
	out, err := s.Run(ctx, r.client, []string{key}, args...).Int64Slice()
	if err != nil {
		r.fail(err)
		return nil, fmt.Errorf("redis: %w", err)
	}
	return out, nil
}

// fail takes Redis out of use and looks for it until it is back.
func (r *Redis) fail(err error) {
	if r.ctx.Err() != nil || !r.down.CompareAndSwap(false, true) {
		return
	}
	r.log.Warn("redis is gone; each process applies its share of the limits", "err", err)
	r.probing.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for {
			select {
			case <-r.ctx.Done():
				return
			case <-tick.C:
			}
			ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
			err := r.client.Ping(ctx).Err()
			cancel()
			if err == nil {
				r.down.Store(false)
				r.log.Info("redis is back")
				return
			}
		}
	})
}

// drawScript takes what was spent from a bucket, and then up to as many permits
// as are wanted; a negative debt puts permits back. It answers with the permits
// it gave and the level that is left. Time is the server's.
var drawScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local limit, want, debt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local window = 60000000
local have = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(have[1]), tonumber(have[2])
if not level then level, at = limit * window, now end
local passed = math.min(math.max(now - at, 0), 6 * window)
level = math.min(level + passed * limit, limit * window) - debt * window
level = math.max(math.min(level, limit * window), -5 * limit * window)
local give = 0
if level >= window then
  give = math.min(want, math.floor(level / window))
  level = level - give * window
end
redis.call('HSET', KEYS[1], 'level', string.format('%.0f', level), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], 60000 * 7)
return {give, level}
`)

// claimScript says how many places a process has, and asks for more. A process
// that does not renew its claim loses it. It answers with the places it gave and
// how many all have.
var claimScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local limit, have, want, life = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local all = redis.call('HGETALL', KEYS[1])
local others = 0
for i = 1, #all, 2 do
  local count, ends = string.match(all[i + 1], '^(%d+):(%d+)$')
  if tonumber(ends) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others = others + tonumber(count)
  end
end
local give = math.max(math.min(want, limit - others - have), 0)
if have + give > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', have + give, now + life))
  redis.call('PEXPIRE', KEYS[1], life)
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return {give, others + have + give}
`)

package client

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Documents fetches what clients publish about themselves, from the guarded
// network. Errors are safe to show.
type Documents interface {
	// Client fetches a client metadata document, and how long it may be kept.
	Client(ctx context.Context, id string) (Client, time.Duration, error)
	// Keys fetches a JWK set.
	Keys(ctx context.Context, uri string) (oauth.KeySet, error)
}

// Bounds of what is remembered of documents.
const (
	minKept     = 5 * time.Minute
	maxKept     = 24 * time.Hour
	failureKept = time.Minute
	staleKept   = 24 * time.Hour // after its time, while its host does not answer
	maxRemote   = 10_000
	perHost     = 30 // documents from one host in a minute
	keysPause   = 10 * time.Second
	maxURLID    = 512
)

// ErrDocument says why a client that is named by its address cannot be used.
var ErrDocument = fault.New(fault.Unauthenticated, "invalid_client", "The client metadata document cannot be used.")

// IsURL reports whether a client id is the address of a metadata document.
func IsURL(id string) bool {
	return strings.HasPrefix(id, "https://") || strings.HasPrefix(id, "http://")
}

// CheckURL reports whether id can be the address of a metadata document: https
// with a path, the default port, without fragment, user information or dot
// segments. With loopback, http to this machine is one too.
func CheckURL(id string, loopback bool) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxURLID || u.User != nil || u.Opaque != "" || strings.ContainsAny(id, "# \t\r\n\"<>\\") || u.Path == "" || u.Path == "/" || oauth.Dotted(id) {
		return false
	}
	if loopback && oauth.Loopback(u.Scheme+"://"+u.Host+"/") {
		return true
	}
	return u.Scheme == "https" && u.Hostname() != "" && u.Port() == ""
}

// remote is what was fetched from others. It is memory of this process.
type remote struct {
	documents Documents
	prepare   func(ctx context.Context, algs []string) error
	now       func() time.Time
	loopback  bool
	hosts     *oauth.Limiter
	flight    singleflight.Group

	mu      sync.Mutex
	clients map[string]fetched   // guarded by mu, by id
	keys    map[string]remoteKey // guarded by mu, by address
}

type fetched struct {
	client Client
	err    error     // of the last try; client is then the one before, if there was one
	until  time.Time // then it is fetched again
	good   time.Time // until when client may be used at all
}

type remoteKey struct {
	set   oauth.KeySet
	tried time.Time
}

// client returns the client that a metadata document describes.
func (r *remote) client(ctx context.Context, id string) (Client, error) {
	if r == nil || r.documents == nil || !CheckURL(id, r.loopback) {
		return Client{}, ErrUnknown
	}
	r.mu.Lock()
	f, ok := r.clients[id]
	r.mu.Unlock()
	if !ok || !f.until.After(r.now()) {
		v, err, _ := r.flight.Do("client "+id, func() (any, error) { return r.fetch(ctx, id, f), nil })
		if err != nil {
			return Client{}, err
		}
		f, _ = v.(fetched)
	}
	if f.err != nil && !f.good.After(r.now()) {
		return Client{}, f.err
	}
	return f.client, nil
}

// fetch renews what is known of a client. It is shared by all that wait for
// it, so that one of them going away must not end it.
func (r *remote) fetch(ctx context.Context, id string, old fetched) fetched {
	ctx, now, host := context.WithoutCancel(ctx), r.now(), hostOf(id)
	next := fetched{client: old.client, good: old.good, until: now.Add(failureKept)}
	if next.err = r.hosts.Check("host " + host); next.err != nil {
		return next // not remembered: the next minute it may be asked again
	}
	r.hosts.Count("host " + host)
	c, keep, err := r.documents.Client(ctx, id)
	if err == nil {
		c.ID, c.Document = id, true
		c.readKeys()
		if err = c.check(); err == nil {
			err = r.prepare(ctx, c.chosen())
		}
	}
	if err != nil {
		next.err = ErrDocument.Saying("The client metadata document at %s cannot be used: %s.", host, strings.TrimSuffix(fault.From(err).Message, "."))
	} else {
		keep = min(max(keep, minKept), maxKept)
		next = fetched{client: c, until: now.Add(keep), good: now.Add(keep + staleKept)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.clients) >= maxRemote {
		clear(r.clients)
	}
	r.clients[id] = next
	return next
}

// keySet returns the keys at an address. They are fetched again for a key id
// that is not among them, but not more often than every ten seconds.
func (r *remote) keySet(ctx context.Context, uri, kid string) oauth.KeySet {
	if r == nil || r.documents == nil {
		return oauth.KeySet{}
	}
	now := r.now()
	r.mu.Lock()
	k, ok := r.keys[uri]
	known := ok && (kid == "" || k.set.Has(kid)) && now.Sub(k.tried) < maxKept
	r.mu.Unlock()
	if known || ok && now.Sub(k.tried) < keysPause {
		return k.set
	}
	v, _, _ := r.flight.Do("keys "+uri, func() (any, error) {
		set, err := r.documents.Keys(context.WithoutCancel(ctx), uri)
		if err != nil {
			set = k.set // the keys that were good go on being so
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.keys) >= maxRemote {
			clear(r.keys)
		}
		r.keys[uri] = remoteKey{set, now}
		return set, nil
	})
	set, _ := v.(oauth.KeySet)
	return set
}

func hostOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Host
}

// LoopbackOnly reports whether c is answered on the user's own machine only:
// then any program there can be it.
func (c Client) LoopbackOnly() bool {
	return len(c.RedirectURIs) > 0 && !slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !oauth.Loopback(uri) })
}

// Host is who vouches for a client that is named by its address; "" for others.
func (c Client) Host() string {
	if !c.Document {
		return ""
	}
	return hostOf(c.ID)
}

package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
	"github.com/rephlo/rephlo/internal/web"
)

// service is the program on a filled database.
type service struct {
	*world
	core   *app.Core
	server *app.Server
	mux    *web.Mux
	keys   *keys.Service
	root   string // who may do everything
	asked  int

	mu   sync.Mutex
	seen map[string][]driver.NamedValue // guarded by mu: statements of requests, with the arguments of the first
}

// serve fills the database at url, "" for SQLite in dir, and starts the program
// on it.
func serve(ctx context.Context, dir, url string, s size) (*service, error) {
	flags := map[string]string{"data": dir, "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0", "drain-timeout": "1s"}
	if url != "" {
		flags["database-url"] = url
	}
	cfg, err := config.Load(config.Input{Environ: []string{}, Flags: flags})
	if err != nil {
		return nil, err
	}
	x := &service{seen: map[string][]driver.NamedValue{}}
	faults := faulty.New() // there are none; they show the statements
	faults.Watch = x.watch
	log := slog.New(slog.DiscardHandler)
	if x.core, err = app.NewCoreThrough(ctx, cfg, log, faults.Through); err != nil {
		return nil, err
	}
	if x.world, err = fill(ctx, x.core.DB, x.core.Box, s, x.core.Now()); err != nil {
		return nil, err
	}
	domains := app.NewDomains(x.core, owner)
	u, err := domains.Accounts.CreateAdmin(ctx, "root@example.com", "correct horse battery staple")
	if err != nil {
		return nil, err
	}
	x.root = u.ID
	if err := domains.Usage.Summarise(ctx); err != nil {
		return nil, err
	}
	if x.server, err = app.NewServer(ctx, x.core); err != nil {
		return nil, err
	}
	if err := x.server.Start(ctx); err != nil {
		return nil, err
	}
	x.mux, x.keys = x.server.Routes(), x.core.SigningKeys()
	return x, x.keys.Start(ctx)
}

// requestKey marks the context of a request whose statements are wanted.
type requestKey struct{}

func (x *service) watch(ctx context.Context, text string, args []driver.NamedValue) {
	if ctx.Value(requestKey{}) == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.seen[text]; !ok {
		x.seen[text] = append([]driver.NamedValue(nil), args...)
	}
}

// statements returns what was seen since the last call.
func (x *service) statements() map[string][]driver.NamedValue {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := x.seen
	x.seen = map[string][]driver.NamedValue{}
	return out
}

var scopes = strings.Join([]string{
	"openid", "profile", "email", access.ScopeModels, access.ScopeUser, access.ScopeAccountManage, access.ScopeCredits,
	access.ScopeBilling, access.ScopeKeys, access.ScopeWebhooks, access.ScopeAdmin,
}, " ")

// ask sends a GET, as an administrator or as the user with the most calls, and
// returns the answer and how long it took.
func (x *service) ask(ctx context.Context, target string) (*httptest.ResponseRecorder, time.Duration, error) {
	who := x.hot
	if strings.HasPrefix(target, "/admin/") {
		who = x.root
	}
	now := x.core.Now()
	token, err := x.keys.Sign(oauth.TypeAccess, oauth.AccessToken{
		Issuer: x.core.Config.IDPURL, Subject: who, Audience: x.core.Config.APIURL, ClientID: "app", Scope: scopes,
		IssuedAt: now.Unix(), Expiry: now.Add(10 * time.Minute).Unix(), AuthTime: now.Unix(), ACR: "mfa", JTI: id.New("at", now),
	})
	if err != nil {
		return nil, 0, err
	}
	r := httptest.NewRequestWithContext(context.WithValue(ctx, requestKey{}, true), http.MethodGet, target, http.NoBody)
	r.Host = strings.TrimPrefix(x.core.Config.APIURL, "http://")
	r.Header.Set("Authorization", "Bearer "+token)
	x.asked++
	r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:99", x.asked/200%200, x.asked%200)
	rec, began := httptest.NewRecorder(), time.Now()
	x.mux.ServeHTTP(rec, r)
	return rec, time.Since(began), nil
}

func (x *service) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return x.server.Stop(ctx)
}

package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
	"github.com/rephlo/rephlo/internal/webhook"
)

// world is a service that really delivers, with a clock that is set by hand.
type world struct {
	*testing.T
	db    *sqldb.DB
	hooks *webhook.Service
	mux   *web.Mux

	mu    sync.Mutex
	at    time.Time          // guarded by mu
	limit int                // guarded by mu
	off   []webhook.Endpoint // guarded by mu: those whose owners were told
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func newWorld(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := &world{T: t, db: db, at: time.Date(2026, 3, 20, 9, 46, 40, 0, time.UTC), limit: 5}
	log := slog.New(slog.DiscardHandler)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	jobs := job.New(job.Needs{DB: db, Log: log, Now: w.now, Node: "node", Policy: job.Policy{Poll: 5 * time.Millisecond}})
	w.hooks = webhook.New(webhook.Needs{
		DB: db, Jobs: jobs, Box: box, Log: log, Now: w.now, Sender: egress.NewDocuments(egress.DocumentOptions{Loopback: true}),
		Limit: func(string) int { w.mu.Lock(); defer w.mu.Unlock(); return w.limit },
		Disabled: func(_ context.Context, e webhook.Endpoint) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.off = append(w.off, e)
			return nil
		},
	})
	jobs.Start(t.Context())
	t.Cleanup(func() { jobs.Stop(context.Background()) })
	w.mux = web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			who := r.Header.Get("Who")
			actor := access.Actor{UserID: who, Scopes: []string{access.ScopeWebhooks}}
			if who == "root" {
				actor.Scopes, actor.Roles = []string{access.ScopeAdmin}, []string{access.RoleSuperAdmin}
			}
			return next(rw, r.WithContext(access.With(r.Context(), actor, nil)))
		}
	}}})
	webhook.API{Webhooks: w.hooks}.Mount(w.mux)
	webhook.AdminAPI{Webhooks: w.hooks, Cursors: list.Cursors{}}.Mount(w.mux)
	return w
}

type object = map[string]any

// do sends a request and returns the answer's body, which must have the status.
func (w *world) do(who, request string, body any, status int) object {
	w.Helper()
	method, path, _ := strings.Cut(request, " ")
	var sent []byte
	if body != nil {
		sent, _ = json.Marshal(body)
	}
	r := httptest.NewRequestWithContext(w.Context(), method, path, bytes.NewReader(sent))
	r.Header.Set("Who", who)
	r.Header.Set("Idempotency-Key", "k")
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	if rec.Code != status {
		w.Fatalf("%s by %s: %d %s, want %d", request, who, rec.Code, rec.Body, status)
	}
	out := object{}
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			w.Fatal(err)
		}
	}
	return out
}

func (w *world) list(who, path string) []object {
	w.Helper()
	var out []object
	data, _ := w.do(who, "GET "+path, nil, 200)["data"].([]any)
	for _, v := range data {
		o, _ := v.(object)
		out = append(out, o)
	}
	return out
}

func text(o object, name string) string { s, _ := o[name].(string); return s }

// until polls until ok.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("not within 20 s: %s", what)
		}
	}
}

// receiver is somebody's server.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	code int             // guarded by mu
	got  []*http.Request // guarded by mu, and so are the bodies
	body [][]byte
	hang chan struct{} // nil: answers at once
}

func newReceiver(t *testing.T, code int) *receiver {
	t.Helper()
	v := &receiver{code: code}
	v.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		v.mu.Lock()
		v.got, v.body = append(v.got, r), append(v.body, body)
		code, hang := v.code, v.hang
		v.mu.Unlock()
		if hang != nil {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		rw.Header().Set("Location", "/elsewhere")
		rw.WriteHeader(code)
		_, _ = rw.Write([]byte(strings.Repeat("thanks\x00\xff", 1000)))
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *receiver) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.got)
}

func (v *receiver) answer(code int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.code = code
}

// signatures computes what the header must be, by the text of Standard
// Webhooks and nothing of ours.
func signatures(t *testing.T, r *http.Request, body []byte, secrets ...string) string {
	t.Helper()
	var out []string
	for _, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(s[len("whsec_"):])
		if err != nil || len(key) != 32 {
			t.Fatalf("the secret %q is not 32 bytes: %v", s, err)
		}
		m := hmac.New(sha256.New, key)
		_, _ = io.WriteString(m, r.Header.Get("webhook-id")+"."+r.Header.Get("webhook-timestamp")+"."+string(body))
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	return strings.Join(out, " ")
}

func TestEventsArriveSigned(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, v := newWorld(t, db), newReceiver(t, 204)
		made := w.do("ada", "POST /v1/webhooks", object{"url": v.URL + "/hook", "events": []string{webhook.CreditsGranted}}, 201)
		id, first := text(made, "id"), text(made, "secret")
		emit := func(user, kind string) {
			t.Helper()
			if err := w.hooks.Emit(t.Context(), user, kind, object{"amount": 5}); err != nil {
				t.Fatal(err)
			}
		}
		emit("ada", webhook.KeyCreated)     // is not wanted
		emit("bob", webhook.CreditsGranted) // is somebody else's
		emit("ada", webhook.CreditsGranted)
		w.until("the event arrives", func() bool { return v.count() == 1 })
		r, body := v.got[0], v.body[0]
		var event struct {
			ID, Type, CreatedAt string
			Data                object
		}
		if err := json.Unmarshal(body, &event); err != nil || event.ID != r.Header.Get("webhook-id") || event.Type != "credits.granted" ||
			event.CreatedAt != "2026-03-20T09:46:40Z" || event.Data["amount"] != 5. || !strings.HasPrefix(event.ID, "evt_") {
			t.Errorf("got %s, %v", body, err)
		}
		if ts := r.Header.Get("webhook-timestamp"); ts != "1774000000" || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/hook" {
			t.Errorf("at %s to %s with %v", ts, r.URL, r.Header)
		}
		if got, want := r.Header.Get("webhook-signature"), signatures(t, r, body, first); got != want {
			t.Errorf("signed %s, want %s", got, want)
		}

		turned := w.do("ada", "POST /v1/webhooks/"+id+"/rotate-secret", object{}, 200)
		second := text(turned, "secret")
		if second == first || text(turned, "oldValidUntil") != "2026-03-21T09:46:40Z" {
			t.Errorf("rotated to %v", turned)
		}
		for i, tt := range []struct {
			after   time.Duration
			secrets []string
		}{{24*time.Hour - time.Second, []string{second, first}}, {time.Second, []string{second}}} {
			w.pass(tt.after)
			emit("ada", webhook.CreditsGranted)
			w.until("the next event arrives", func() bool { return v.count() == i+2 })
			r, body := v.got[i+1], v.body[i+1]
			if got, want := r.Header.Get("webhook-signature"), signatures(t, r, body, tt.secrets...); got != want {
				t.Errorf("%d: signed %s, want %s", i, got, want)
			}
		}
		w.until("the log is written", func() bool { return len(w.list("ada", "/v1/webhooks/"+id+"/deliveries?status=succeeded")) == 3 })
		if e := w.do("ada", "GET /v1/webhooks/"+id, nil, 200); text(e, "lastSuccessAt") == "" || e["secret"] != nil {
			t.Errorf("shown %v", e)
		}
		var sealed []byte
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT secret FROM webhook_endpoint`).Scan(&sealed); err != nil || bytes.Contains(sealed, []byte(second[6:])) {
			t.Errorf("the secret is stored open: %v", err)
		}
	})
}

// The schedule is the contract's, with a tenth of chance.
func TestAFailingReceiverIsTriedEightTimesInADay(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, v := newWorld(t, db), newReceiver(t, 302) // a redirect is no success and is not followed
		id := text(w.do("ada", "POST /v1/webhooks", object{"url": v.URL, "events": []string{"*"}}, 201), "id")
		if err := w.hooks.Emit(t.Context(), "ada", webhook.KeyCreated, object{}); err != nil {
			t.Fatal(err)
		}
		deliveries := func() object { return w.list("ada", "/v1/webhooks/"+id+"/deliveries")[0] }
		for i, wait := range []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 15 * time.Hour} {
			w.until("an attempt is noted", func() bool { return deliveries()["attempts"] == float64(i+1) })
			next, err := time.Parse(time.RFC3339, text(deliveries(), "nextAttemptAt"))
			if got := next.Sub(w.now()); err != nil || got < wait*9/10 || got > wait*11/10 {
				t.Fatalf("after attempt %d the next comes in %v, want %v and a tenth (%v)", i+1, got, wait, err)
			}
			w.pass(next.Sub(w.now()) - time.Millisecond)
			w.pass(time.Millisecond)
		}
		w.until("it is given up", func() bool { return text(deliveries(), "status") == "failed" })
		if d := deliveries(); d["attempts"] != 8. || d["nextAttemptAt"] != nil || v.count() != 8 {
			t.Errorf("at last %v, %d requests", d, v.count())
		}
		one := w.do("ada", "GET /v1/webhooks/deliveries/"+text(deliveries(), "id"), nil, 200)
		attempts, _ := one["attempts"].([]any)
		last, _ := attempts[7].(object)
		if len(attempts) != 8 || last["status"] != 302. || len(text(last, "response")) < 4000 || !strings.HasPrefix(text(last, "response"), "thanks") {
			t.Errorf("the log has %v", one)
		}
		for _, r := range v.got[1:] {
			if r.Header.Get("webhook-id") != v.got[0].Header.Get("webhook-id") {
				t.Error("attempts have different ids")
			}
		}
		for i := range v.body {
			if !bytes.Equal(v.body[i], v.body[0]) {
				t.Error("attempts have different bodies")
			}
		}

		v.answer(200)
		w.do("bob", "POST /v1/webhooks/"+id+"/replay-failed", object{}, 404)
		if n := w.do("ada", "POST /v1/webhooks/"+id+"/replay-failed", object{"since": w.now()}, 202); n["replayed"] != 0. {
			t.Errorf("replayed %v of a later time", n)
		}
		if n := w.do("ada", "POST /v1/webhooks/"+id+"/replay-failed", object{}, 202); n["replayed"] != 1. {
			t.Errorf("replayed %v", n)
		}
		w.until("the replay arrives", func() bool { return text(deliveries(), "status") == "succeeded" })
		w.do("ada", "POST /v1/webhooks/deliveries/"+text(deliveries(), "id")+"/replay", nil, 202)
		w.do("bob", "POST /v1/webhooks/deliveries/"+text(deliveries(), "id")+"/replay", nil, 404)
		w.until("the second replay arrives", func() bool { return v.count() == 10 && text(deliveries(), "status") == "succeeded" })
	})
}

// A receiver that hangs holds up nobody else, nor does it block its own queue
// for good.
func TestAHangingReceiverDelaysNoOther(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, good, slow := newWorld(t, db), newReceiver(t, 200), newReceiver(t, 200)
		w.limit = 20
		slow.hang = make(chan struct{})
		release := sync.OnceFunc(func() { close(slow.hang) })
		defer release()
		for range 12 { // more than a process does tasks at once
			w.do("ada", "POST /v1/webhooks", object{"url": slow.URL, "events": []string{"*"}}, 201)
		}
		for range 3 {
			if err := w.hooks.Emit(t.Context(), "ada", webhook.KeyCreated, object{}); err != nil {
				t.Fatal(err)
			}
		}
		w.until("all slow ones hang", func() bool { return slow.count() == 12 })
		w.do("bob", "POST /v1/webhooks", object{"url": good.URL, "events": []string{"*"}}, 201)
		for range 5 {
			if err := w.hooks.Emit(t.Context(), "bob", webhook.KeyCreated, object{}); err != nil {
				t.Fatal(err)
			}
		}
		w.until("the good one has all", func() bool { return good.count() == 5 })
		if n := slow.count(); n != 12 {
			t.Errorf("%d requests at once, want one for each endpoint", n)
		}
		release()
		w.until("the slow ones have all", func() bool { return slow.count() == 36 })
	})
}

func TestWhoWantsNothingOrFailsForFiveDaysIsSwitchedOff(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, gone, bad := newWorld(t, db), newReceiver(t, 410), newReceiver(t, 500)
		idGone := text(w.do("ada", "POST /v1/webhooks", object{"url": gone.URL, "events": []string{"*"}}, 201), "id")
		idBad := text(w.do("bob", "POST /v1/webhooks", object{"url": bad.URL, "events": []string{"*"}}, 201), "id")
		emit := func(user string) {
			t.Helper()
			if err := w.hooks.Emit(t.Context(), user, webhook.KeyCreated, object{}); err != nil {
				t.Fatal(err)
			}
		}
		reason := func(user, id string) string {
			return text(w.do(user, "GET /v1/webhooks/"+id, nil, 200), "disabledReason")
		}
		attempts := func() any { return w.list("bob", "/v1/webhooks/"+idBad+"/deliveries")[0]["attempts"] }
		emit("ada")
		w.until("410 switches off", func() bool { return reason("ada", idGone) == "gone" })
		emit("ada")
		if n := gone.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
		emit("bob")
		w.until("it failed once", func() bool { return attempts() == 1. })
		w.pass(5*24*time.Hour - time.Second)
		w.until("it failed again", func() bool { return attempts() == 2. })
		if r := reason("bob", idBad); r != "" {
			t.Errorf("off a second too early: %s", r)
		}
		w.pass(time.Hour)
		w.until("five days switch off", func() bool { return reason("bob", idBad) == "failing" })
		w.mu.Lock()
		if len(w.off) != 2 || w.off[0].ID != idGone || w.off[1].ID != idBad || w.off[1].DisabledReason != "failing" {
			t.Errorf("told: %v", w.off)
		}
		w.mu.Unlock()
		bad.answer(200)
		id := text(w.list("bob", "/v1/webhooks/"+idBad+"/deliveries")[0], "id")
		w.do("bob", "POST /v1/webhooks/deliveries/"+id+"/replay", nil, 409)
		if e := w.do("bob", "PATCH /v1/webhooks/"+idBad, object{"enabled": true}, 200); e["enabled"] != true || e["failingSince"] != nil {
			t.Errorf("switched on: %v", e)
		}
		w.do("bob", "POST /v1/webhooks/deliveries/"+id+"/replay", nil, 202)
		w.until("it works again", func() bool {
			return text(w.list("bob", "/v1/webhooks/"+idBad+"/deliveries")[0], "status") == "succeeded"
		})
	})
}

func TestThePlanSaysHowManyEndpointsThereAre(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		w.limit = 2
		body := object{"url": "https://hooks.example/x", "events": []string{"*"}}
		var wg sync.WaitGroup
		answers := make(chan int, 8)
		for range 8 {
			wg.Go(func() {
				sent, _ := json.Marshal(body)
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/webhooks", bytes.NewReader(sent))
				r.Header.Set("Who", "ada")
				r.Header.Set("Content-Type", "application/json")
				rec := httptest.NewRecorder()
				w.mux.ServeHTTP(rec, r)
				answers <- rec.Code
			})
		}
		wg.Wait()
		made := 0
		for range 8 {
			if code := <-answers; code == 201 {
				made++
			} else if code != 403 {
				t.Errorf("answered %d", code)
			}
		}
		all := w.list("ada", "/v1/webhooks")
		if made != 2 || len(all) != 2 {
			t.Fatalf("%d made, %d there", made, len(all))
		}
		w.limit = 1
		if err := w.hooks.Fit(t.Context(), "ada", 1); err != nil {
			t.Fatal(err)
		}
		all = w.list("ada", "/v1/webhooks") // the newest first
		if text(all[0], "disabledReason") != "plan" || all[1]["enabled"] != true {
			t.Errorf("after a downgrade %v", all)
		}
		newest, oldest := text(all[0], "id"), text(all[1], "id")
		w.do("ada", "PATCH /v1/webhooks/"+newest, object{"enabled": true}, 403)
		w.do("ada", "PATCH /v1/webhooks/"+oldest, object{"enabled": false}, 200)
		w.do("ada", "PATCH /v1/webhooks/"+newest, object{"enabled": true}, 200)
		w.do("bob", "DELETE /v1/webhooks/"+oldest, nil, 404)
		w.do("ada", "DELETE /v1/webhooks/"+oldest, nil, 204)
		w.do("ada", "GET /v1/webhooks/"+oldest, nil, 404)
	})
}

func TestOnlyPublicAddressesAndKnownEventsAreTaken(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		for _, url := range []string{
			"http://example.com/", "https://user:pw@example.com/", "ftp://example.com", "https://", "nonsense", "https://10.0.0.1/", "https://[fd00::1]/",
			"https://169.254.169.254/latest", "https://0.0.0.0/", "http://192.168.1.1/", "https://[::ffff:10.0.0.1]/", "https://example.com:0/", "https://2130706433/",
		} {
			w.do("ada", "POST /v1/webhooks", object{"url": url, "events": []string{"*"}}, 422)
		}
		for _, events := range [][]string{{}, {"subscription.unknown"}, {"*", "x"}} {
			w.do("ada", "POST /v1/webhooks", object{"url": "https://example.com", "events": events}, 422)
		}
		if types := w.list("nobody", "/v1/webhooks/event-types"); len(types) != len(webhook.Types) {
			t.Errorf("%d types", len(types))
		}
		for _, v := range webhook.Types {
			if !json.Valid(v.Example) {
				t.Errorf("the example of %s is no JSON: %s", v.Name, v.Example)
			}
		}
	})
}

func TestATestShowsTheAnswer(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, v := newWorld(t, db), newReceiver(t, 500)
		id := text(w.do("ada", "POST /v1/webhooks", object{"url": v.URL, "events": []string{"*"}}, 201), "id")
		if got := w.do("ada", "POST /v1/webhooks/"+id+"/test", object{}, 200); got["status"] != 500. || !strings.HasPrefix(text(got, "response"), "thanks") {
			t.Errorf("got %v", got)
		}
		v.answer(200)
		w.pass(time.Second)
		w.do("ada", "POST /v1/webhooks/"+id+"/test", object{"type": "credits.granted"}, 200)
		w.do("ada", "POST /v1/webhooks/"+id+"/test", object{"type": "no.such"}, 422)
		w.do("bob", "POST /v1/webhooks/"+id+"/test", object{}, 404)
		log := w.list("ada", "/v1/webhooks/"+id+"/deliveries")
		if len(log) != 2 || text(log[0], "status") != "succeeded" || text(log[0], "type") != "credits.granted" || text(log[1], "status") != "failed" {
			t.Errorf("the log has %v", log)
		}
		v.Close()
		if got := w.do("ada", "POST /v1/webhooks/"+id+"/test", object{}, 200); got["status"] != 0. || text(got, "response") == "" {
			t.Errorf("of a server that is gone: %v", got)
		}
		for range 7 {
			w.do("ada", "POST /v1/webhooks/"+id+"/test", object{}, 200)
		}
		w.do("ada", "POST /v1/webhooks/"+id+"/test", object{}, 429)
	})
}

func TestAdministratorsSeeAndSwitchOff(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, v := newWorld(t, db), newReceiver(t, 200)
		id := text(w.do("ada", "POST /v1/webhooks", object{"url": v.URL, "events": []string{"*"}}, 201), "id")
		if err := w.hooks.Emit(t.Context(), "ada", webhook.KeyCreated, object{}); err != nil {
			t.Fatal(err)
		}
		w.until("it is delivered", func() bool {
			return len(w.list("root", "/admin/webhooks/deliveries?status=succeeded&user_id=ada")) == 1
		})
		w.do("ada", "GET /admin/webhooks", nil, 403)
		if all := w.list("root", "/admin/webhooks?user_id=ada"); len(all) != 1 || text(all[0], "userId") != "ada" {
			t.Errorf("shown %v", all)
		}
		delivery := text(w.list("root", "/admin/webhooks/deliveries?endpoint_id="+id)[0], "id")
		w.do("root", "POST /admin/webhooks/deliveries/"+delivery+"/replay", nil, 202)
		w.until("it is delivered again", func() bool { return v.count() == 2 })
		w.do("root", "POST /admin/webhooks/"+id+"/disable", object{"reason": "it floods us with answers"}, 200)
		w.do("ada", "PATCH /v1/webhooks/"+id, object{"enabled": true}, 409)
		w.pass(31 * 24 * time.Hour)
		w.until("the log is forgotten", func() bool { return len(w.list("root", "/admin/webhooks/deliveries")) == 0 })
	})
}

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

const day = 24 * time.Hour

// at is a time within the last d, spread over n rows in their order.
func (w *world) at(i, n int, d time.Duration) int64 {
	return w.now.Add(-d + time.Duration(float64(d)*float64(i)/float64(n+1))).UnixMicro()
}

// name makes the id of the i-th of n things that were made in the last d.
func (w *world) name(prefix string, i, n int, d time.Duration) string {
	return id.New(prefix, time.UnixMicro(w.at(i, n, d)).UTC())
}

func (w *world) seal(text, place string) []byte {
	sealed, err := w.box.Seal([]byte(text), place)
	if err != nil {
		panic(err)
	}
	return sealed
}

func (w *world) user(i int) string { return w.users[i%len(w.users)] }

func digest(words ...any) []byte {
	h := sha256.Sum256([]byte(fmt.Sprint(words...)))
	return h[:]
}

func of[T any](i int, all ...T) T { return all[i%len(all)] }

var (
	firstNames = []string{"Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Leslie", "Radia", "Ken", "Margaret", "Tony"}
	lastNames  = []string{"Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Lamport", "Perlman", "Thompson", "Hamilton", "Hoare", "Backus", "Allen"}
	agents     = []string{"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Macintosh)", "Mozilla/5.0 (Windows NT 10.0)"}
)

func address(i int) string { return fmt.Sprintf("192.0.%d.%d", 2+i/256%200, i%256) }

// tables are the rows beside the ledger's and the calls'.
func (w *world) tables() []table {
	return append(append(w.accounts(), w.signIns()...), w.records()...)
}

func (w *world) accounts() []table {
	n := w.size.Users
	return []table{
		{
			"account_user", "id, email, email_key, verified, username, username_key, first_name, last_name, locale, password, password_at, role, state, state_reason, state_until, terms_at, created_at, last_login_at, signed_out_at, staff, timezone, tier, credits_used", n,
			func(i int) []any {
				name, at := fmt.Sprintf("person%06d", i), w.at(i, n, 700*day)
				state := "active"
				if i%100 == 7 {
					state = of(i/100, "suspended", "suspended", "suspended", "banned", "deleted")
				}
				var seen any
				if i%3 > 0 {
					seen = w.at(i*7919%n, n, 300*day)
				}
				return []any{
					w.users[i], name + "@example.com", name + "@example.com", i%20 > 0 || i < n*99/100, name, name, of(i, firstNames...), of(i/3, lastNames...), "en", "", at, "", state, "", nil, at, at, seen,
					at, false, "", of(i, "free", "free", "free", "pro"), int64(i * 7919 % 1000003),
				}
			},
		},
		{
			"account_state", "id, user_id, from_state, to_state, reason, created_by, created_at, until, lifted_at, lifted_by", n / 20,
			func(i int) []any {
				return []any{w.name("ast", i, n/20, 300*day), w.user(i * 3), "active", "suspended", "a reason", "system", w.at(i, n/20, 300*day), nil, nil, ""}
			},
		},
		{
			"account_token", "hash, purpose, user_id, email, back, created_at, expires_at, used_at", n / 10,
			func(i int) []any {
				return []any{digest("link", i), "verify", w.user(i), "", "", w.at(i, n/10, day), w.now.Add(day).UnixMicro(), nil}
			},
		},
		{
			"apikey_key", "id, user_id, name, mode, prefix, hash, scopes, created_at, expires_at, revoked_at, last_used_at", n,
			func(i int) []any {
				owner := w.users[i]
				if i%1000 == 1 {
					owner = w.hot
				}
				var revoked any
				if i%10 == 3 {
					revoked = w.now.UnixMicro()
				}
				return []any{w.name("key", i, n, 300*day), owner, fmt.Sprint("key ", i), of(i, "live", "live", "test"), fmt.Sprintf("rph_live_%03d", i%1000), digest("key", i), "llm.inference models.read", w.at(i, n, 300*day), nil, revoked, nil}
			},
		},
		{
			"subscription_plan", "id, user_id, tier, cycle, mode, state, anchor, allocated, plan_grant, period_anchor, period_at, paid, trial_end, ends_at, failed_at, attempts, cancel_at_end, next_tier, next_cycle, due_at, version, created_at, ended_at", n,
			func(i int) []any {
				at, state := w.at(i, n, 300*day), "active"
				if i%50 == 9 {
					state = of(i/50, "cancelled", "expired", "past_due", "suspended", "incomplete")
				}
				tier := of(i, "free", "free", "free", "pro")
				mode := of(i, "free", "free", "free", "manual")
				return []any{w.name("sub", i, n, 300*day), w.users[i], tier, of(i, "monthly", "monthly", "annual"), mode, state, at, int64(0), int64(0), at, int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), false, "", "", w.now.Add(9 * day).UnixMicro(), int64(1), at, int64(0)}
			},
		},
		{
			"subscription_event", "id, subscription_id, user_id, from_state, to_state, cause, actor, reason, at", n,
			func(i int) []any {
				return []any{w.name("sev", i, n, 300*day), "", w.users[i], "", "active", "started", "system", "", w.at(i, n, 300*day)}
			},
		},
		{
			"subscription_proration", "id, subscription_id, user_id, from_tier, from_cycle, to_tier, to_cycle, seconds_left, seconds_total, paid, price, credit, charge, net, credit_left, credit_total, extra, renewed, payment, at", n / 10,
			func(i int) []any {
				return []any{w.name("pro", i, n/10, 300*day), "", w.user(i * 7), "free", "monthly", of(i, "pro", "pro_plus"), "monthly", 10, 20, 0, 2000, 0, 1000, 1000, 10, 20, 0, false, "", w.at(i, n/10, 300*day)}
			},
		},
	}
}

func (w *world) signIns() []table {
	n := w.size.Users
	return []table{
		{
			"sso_session", "id, hash, user_id, auth_time, acr, amr, address, agent, created_at, last_seen_at, ended_at", n,
			func(i int) []any {
				var ended any
				if i%2 == 1 {
					ended = w.now.UnixMicro()
				}
				at := w.at(i, n, 20*day)
				return []any{w.name("ses", i, n, 20*day), digest("session", i), w.users[i], at, "pwd", "pwd", address(i), of(i, agents...), at, at, ended}
			},
		},
		{
			"grant_consent", "user_id, client_id, scopes, resources, created_at, updated_at", n,
			func(i int) []any {
				return []any{w.users[i], "app", "openid", "", w.at(i, n, 300*day), w.at(i, n, 300*day)}
			},
		},
		{
			"grant_family", "id, authorization_id, client_id, user_id, session_id, bound, scopes, resources, auth_time, acr, amr, generation, current_hash, issued_at, used_at, expires_at, revoked_at", n,
			func(i int) []any {
				at := w.at(i, n, 50*day)
				return []any{w.name("rtf", i, n, 50*day), w.name("az", i, n, 50*day), "app", w.users[i], "", true, "openid", "", at, "pwd", "pwd", int64(1), hex.EncodeToString(digest("family", i)), at, at, w.now.Add(10 * day).UnixMicro(), nil}
			},
		},
		{
			"trail_event", "id, user_id, kind, detail, address, agent, at", 3 * n,
			func(i int) []any {
				return []any{w.name("evt", i, 3*n, 80*day), w.user(i * 31), of(i, "signed_in", "signed_in", "sign_in_failed"), "", address(i), of(i, agents...), w.at(i, 3*n, 80*day)}
			},
		},
		{
			"client_client", "id, name, settings, secrets, created_at, updated_at, registration", min(n/100, 1000),
			func(i int) []any {
				return []any{fmt.Sprintf("dcr%06d", i), fmt.Sprint("App ", i), `{}`, `[]`, w.at(i, n/100, 100*day), w.at(i, n/100, 100*day), "x"}
			},
		},
		{
			"impersonation", "id, user_id, admin_id, created_at, started_at, ends_at", n / 100,
			func(i int) []any {
				return []any{w.name("imp", i, n/100, 300*day), w.user(i * 3), w.users[0], w.at(i, n/100, 300*day), nil, w.at(i, n/100, 300*day)}
			},
		},
	}
}

func (w *world) records() []table {
	n := w.size.Users
	return []table{
		{
			// The hashes are not of a chain: no list looks at them.
			"audit_log", "seq, at, actor, roles, action, resource_type, resource_id, outcome, reason, request_id, ip_tag, origin, changed, person, personal, hash", 2 * n,
			func(i int) []any {
				return []any{
					int64(i + 1), w.at(i, 2*n, 300*day), w.user(i % 50), "support", of(i, "users.view", "users.view", "sign_in", "users.edit_profile"), of(i, "user", "user", "api_key", "user"), w.user(i * 17),
					of(i, "done", "done", "done", "refused"), "", fmt.Sprint("req_filled", i), hex.EncodeToString(digest("address", i%500))[:32], "", "{}", "", "", hex.EncodeToString(digest(i)),
				}
			},
		},
		{
			"job_task", "id, kind, key, argument, created_at, due_at, attempt, state, started_at, ended_at", n / 2,
			func(i int) []any {
				name, at := w.name("task", i, n/2, 6*day), w.at(i, n/2, 6*day)
				state := of(i, "done", "done", "done", "done", "dead")
				if i%5000 == 4999 {
					state = "dead"
				} else if state == "dead" {
					state = "done"
				}
				return []any{name, of(i, "mail.send", "account.sweep", "audit.verify"), name, "{}", at, at, int64(1), state, at, at}
			},
		},
		{
			"webhook_endpoint", "id, user_id, url, description, events, enabled, disabled_reason, created_at, secret", n / 10,
			func(i int) []any {
				return []any{w.name("whe", i, n/10, 300*day), w.users[i], "https://example.com/hook", "", "*", true, "", w.at(i, n/10, 300*day), []byte("x")}
			},
		},
		{
			"webhook_delivery", "id, event_id, endpoint_id, user_id, type, state, due_at, created_at, tries", n,
			func(i int) []any {
				return []any{w.name("whd", i, n, 29*day), fmt.Sprint("evt_", i), "whe_filled", w.user(i % 500), of(i, "credits.low", "subscription.updated"), "succeeded", w.at(i, n, 29*day), w.at(i, n, 29*day), int64(1)}
			},
		},
		{
			"approval_request", "id, operation, permission, once, target_type, target_id, person, frozen, requested_by, requested_at, expires_at, status, decided_by", n / 20,
			func(i int) []any {
				name := w.name("apr", i, n/20, 300*day)
				return []any{name, "users.ban", "users.ban", fmt.Sprint(i), "user", w.user(i), "", w.seal(`{"reason":"a reason","input":{}}`, "approval:"+name), w.users[0], w.at(i, n/20, 300*day), w.at(i, n/20, 300*day), "expired", ""}
			},
		},
		{
			"branding_feedback", "id, user_id, message, email, status, created_at", n / 10,
			func(i int) []any {
				return []any{w.name("fbk", i, n/10, 300*day), w.user(i), "a message", "", of(i, "done", "done", "done", "read"), w.at(i, n/10, 300*day)}
			},
		},
		{
			"branding_diagnostic", "id, user_id, note, kind, size, sha256, created_at, expires_at", n / 20,
			func(i int) []any {
				return []any{w.name("dgn", i, n/20, 80*day), w.user(i), "", "log", int64(100), "00", w.at(i, n/20, 80*day), w.now.Add(9 * day).UnixMicro()}
			},
		},
		{
			"capture_call", "id, request_id, user_id, key_id, model_id, operation, request_size, answer_size, at, sealed", n / 10,
			func(i int) []any {
				return []any{w.name("call", i, n/10, 20*day), "req", w.user(i % 100), "", "gpt-5-mini", "chat", int64(1), int64(1), w.at(i, n/10, 20*day), []byte("x")}
			},
		},
		{
			"idempotency_key", "id, request_hash, attempt, claimed_until, created_at", n,
			func(i int) []any {
				return []any{hex.EncodeToString(digest("once", i)), "", "", int64(0), w.at(i, n, day)}
			},
		},
		{
			"limit_override", "user_id, requests_per_minute, reason, created_by, created_at", n / 100,
			func(i int) []any { return []any{w.users[i*100%n], int64(10), "a reason", "system", w.now.UnixMicro()} },
		},
	}
}

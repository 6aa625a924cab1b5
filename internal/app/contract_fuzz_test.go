package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/web"
)

// exercise is one Mux under generated requests.
type exercise struct {
	*testing.T
	*maker
	f     *staff
	mux   *web.Mux
	api   *huma.OpenAPI
	host  string
	users []account.User // administrators who may do all; they lose rights, so there are several
	sent  int
	by    map[int]int     // answers by status
	found map[string]bool // what is wrong, once for each operation
}

// outages are refusals with 5xx that say the truth in this world: there is no
// payment service, and no vendor but the test one.
var outages = []string{"payments_unavailable", "model_unavailable", "maintenance", "upstream_error", "social_sign_in_failed"}

// Every operation of both documents, and every page, is asked with requests that
// fit and with such as do not: nothing fails on our side, and every answer is what
// the document says. REPHLO_REQUESTS is how many; REPHLO_SEED repeats a run.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	count, seed := 600, uint64(1)
	if text := os.Getenv("REPHLO_REQUESTS"); text != "" {
		count, _ = strconv.Atoi(text)
		seed = rand.Uint64()
	}
	if text := os.Getenv("REPHLO_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("REPHLO_SEED=%d", seed)
	s, muxes := services(t)
	f := &staff{T: t, Server: s, acr: "mfa"}
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 0)), now: s.core.Now()}
	for _, name := range []string{"resource", "identity"} { // in this order, so that a seed repeats
		share := count / 5
		if name == "resource" {
			share = count - share
		}
		x := &exercise{T: t, maker: m, f: f, mux: muxes[name], by: map[int]int{}, found: map[string]bool{}}
		x.api = x.mux.OpenAPI()
		x.registry = x.api.Components.Schemas
		x.host = map[string]string{"resource": s.core.Config.APIURL, "identity": s.core.Config.IDPURL}[name]
		x.host = strings.TrimPrefix(x.host, "http://")
		x.strict()
		x.run(share)
		t.Logf("%s: %d requests, by status %v", name, x.sent, x.by)
		if x.by[http.StatusOK] < share/20 {
			t.Errorf("%s: only %d of %d requests were answered 200", name, x.by[http.StatusOK], x.sent)
		}
	}
}

// strict closes the schemas of answers, which leave room for what comes later:
// what is answered now is described.
func (x *exercise) strict() {
	for _, s := range x.registry.Map() {
		if s.Type == huma.TypeObject && len(s.Properties) > 0 && s.AdditionalProperties == nil {
			s.AdditionalProperties = false
		}
	}
}

const maxFound = 25

// run asks each operation in turn until count requests were sent.
func (x *exercise) run(count int) {
	type target struct {
		method, path string
		op           *huma.Operation
	}
	var all []target
	for _, path := range slices.Sorted(maps.Keys(x.api.Paths)) {
		item := x.api.Paths[path]
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op != nil {
				all = append(all, target{method, path, op})
			}
		}
	}
	for _, pattern := range x.mux.Pages() {
		method, path, _ := strings.Cut(pattern, " ")
		all = append(all, target{method, path, nil})
	}
	slices.SortStableFunc(all, func(a, b target) int { return strings.Compare(a.method+a.path, b.method+b.path) })
	for x.sent < count && len(x.found) < maxFound {
		for _, i := range x.Perm(len(all)) {
			if t := all[i]; x.sent < count {
				x.ask(t.method, t.path, t.op, x.chance(50))
			}
		}
	}
}

// place fills the parameters of a path.
func (x *exercise) place(path string) string {
	return inBraces.ReplaceAllStringFunc(path, func(name string) string {
		v := x.text(strings.Trim(name, "{}."), &huma.Schema{})
		if x.chance(25) {
			v = pick(x.maker, nasty...)
		}
		if v == "" || v == "." || v == ".." {
			v = "x"
		}
		return url.PathEscape(v[:min(len(v), 2000)])
	})
}

// request makes a request to an operation.
func (x *exercise) request(method, path string, op *huma.Operation, valid bool) *http.Request {
	query, header := url.Values{}, http.Header{}
	body, media := "", ""
	if op == nil {
		query.Set("q", pick(x.maker, nasty...))
		body, media = "uid="+url.QueryEscape(pick(x.maker, nasty...)), "application/x-www-form-urlencoded"
	} else {
		for _, p := range op.Parameters {
			if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
				p = x.api.Components.Parameters[name]
			}
			if p.In == "path" || !p.Required && x.chance(60) {
				continue
			}
			v := fmt.Sprint(x.fit(p.Name, p.Schema, 0))
			if !valid && x.chance(50) {
				v = pick(x.maker, nasty...)
			}
			if p.In == "query" {
				query.Add(p.Name, v)
			} else {
				header.Set(p.Name, strings.Map(func(r rune) rune { return max(r, ' ') }, v))
			}
		}
		body, media = x.content(op, valid)
	}
	r := httptest.NewRequestWithContext(x.Context(), method, "http://"+x.host+strings.ReplaceAll(x.place(path), "%00", "%01")+"?"+query.Encode(), strings.NewReader(body))
	maps.Copy(r.Header, header)
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	x.f.asked++
	r.RemoteAddr = fmt.Sprintf("%d.%d.7.7:99", 11+x.f.asked/200%200, x.f.asked%200)
	if credential := x.credential(); credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	return r
}

// content makes the body of a request.
func (x *exercise) content(op *huma.Operation, valid bool) (body, media string) {
	if op.RequestBody == nil {
		return "", ""
	}
	media = slices.Sorted(maps.Keys(op.RequestBody.Content))[0]
	s := op.RequestBody.Content[media].Schema
	switch media {
	case "application/x-www-form-urlencoded":
		form := url.Values{}
		values, _ := x.fit("", s, 0).(map[string]any)
		for name, v := range values {
			if form.Set(name, fmt.Sprint(v)); !valid && x.chance(30) {
				form.Set(name, pick(x.maker, nasty...))
			}
		}
		return form.Encode(), media
	case "multipart/form-data":
		return "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ntest-echo\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n" +
			pick(x.maker, nasty...) + pick(x.maker, "\r\n--b--\r\n", "\r\n--b--\r\n", "\r\n--b", ""), media + "; boundary=b"
	}
	return x.body(s, valid), media
}

var allScopes = strings.Join([]string{
	"openid", "profile", "email", access.ScopeInference, access.ScopeModels, access.ScopeUser, access.ScopeAccountManage, access.ScopeCredits,
	access.ScopeBilling, access.ScopeKeys, access.ScopeWebhooks, access.ScopeAdmin,
}, " ")

// credential is mostly that of somebody who may do everything. People who were
// locked out meanwhile are replaced.
func (x *exercise) credential() string {
	switch n := x.IntN(100); {
	case n < 3:
		return ""
	case n < 6:
		return pick(x.maker, nasty[2:8]...)
	}
	for range 50 {
		if len(x.users) < 3 {
			u, err := x.f.domains.Accounts.CreateAdmin(x.Context(), fmt.Sprintf("root%d.%s@example.com", len(x.users)+x.sent*10, x.host[len(x.host)-3:]), "correct horse battery staple")
			if err != nil {
				x.Fatal(err)
			}
			x.users = append(x.users, u)
		}
		i := x.IntN(len(x.users))
		u, err := x.f.domains.Accounts.Snapshot(x.Context(), x.users[i].ID)
		if err == nil && account.Usable(u, x.f.core.Now()) == nil {
			return x.f.token(u.ID, allScopes, 0)
		}
		x.users = slices.Delete(x.users, i, i+1)
	}
	return ""
}

// ask sends a request and looks at the answer.
func (x *exercise) ask(method, path string, op *huma.Operation, valid bool) {
	r := x.request(method, path, op, valid)
	rec := httptest.NewRecorder()
	x.mux.ServeHTTP(rec, r)
	x.sent++
	x.by[rec.Code]++
	text := rec.Body.String()
	say := func(format string, args ...any) {
		if key := method + path; !x.found[key] {
			x.found[key] = true
			x.Errorf("%s %s: %s\nanswer %d: %.600s", r.Method, r.URL, fmt.Sprintf(format, args...), rec.Code, text)
		}
	}
	if rec.Code >= 500 && !slices.ContainsFunc(outages, func(code string) bool { return strings.Contains(text, code) }) {
		say("it fails on our side")
	}
	for _, secret := range []string{"goroutine ", "runtime error", "SQLSTATE", "SQL logic", "/internal/"} {
		if strings.Contains(text, secret) {
			say("it shows our inside")
		}
	}
	if op == nil || method == http.MethodHead {
		return
	}
	if err := x.check(op, rec); err != nil {
		say("%v", err)
	}
}

// check holds an answer against the description of its operation.
func (x *exercise) check(op *huma.Operation, rec *httptest.ResponseRecorder) error {
	res := op.Responses[strconv.Itoa(rec.Code)]
	switch {
	case res == nil && rec.Code < 400 && rec.Code != http.StatusNotModified:
		return fmt.Errorf("the status is not described, only %v", slices.Sorted(maps.Keys(op.Responses)))
	case res == nil:
		res = op.Responses["default"]
	}
	media, _, _ := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	described := res.Content[media]
	if described == nil { // audio/* is any of its kind
		kind, _, _ := strings.Cut(media, "/")
		described = res.Content[kind+"/*"]
	}
	switch {
	case rec.Body.Len() == 0:
		if res.Content["application/json"] != nil && rec.Code != http.StatusNotModified {
			return errors.New("the body is missing")
		}
		return nil
	case described == nil && media == "text/html":
		return nil // a page instead of an error, for people
	case described == nil:
		return fmt.Errorf("a body of type %q is not described, only %v", media, slices.Sorted(maps.Keys(res.Content)))
	case media != "application/json":
		return nil
	}
	var v any
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		return err
	}
	x.remember(v, "")
	found := &huma.ValidateResult{}
	huma.Validate(x.registry, described.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, found)
	return errors.Join(found.Errors...)
}

// remember keeps the ids of v.
func (x *exercise) remember(v any, name string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			x.remember(v[name], name)
		}
	case []any:
		for _, one := range v {
			x.remember(one, name)
		}
	case string:
		if name == "id" || strings.HasSuffix(name, "Id") && name != "operationId" || name == "nextCursor" {
			if x.seen = append(x.seen, v); len(x.seen) > 200 {
				x.seen = x.seen[100:]
			}
		}
	}
}

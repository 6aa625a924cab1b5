package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// variant is one way to ask an operation.
type variant struct {
	path  string // as in the document
	query string // what is asked for, to be read
	url   string
}

// left are operations that are no lists: they stream whole tables, or make
// something that has a bound of its own.
var left = map[string]string{
	"/admin/audit-logs/export": "streams every row",
	"/v1/usage/export":         "streams every row",
	"/openapi.json":            "the document itself",
	"/docs":                    "a page",
}

// variants makes the requests to every GET of api.
func (x *service) variants(api *huma.OpenAPI) []variant {
	var out []variant
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		op := api.Paths[path].Get
		if op == nil || left[path] != "" || !strings.HasPrefix(path, "/admin/") && !strings.HasPrefix(path, "/v1/") {
			continue
		}
		out = append(out, x.ways(path, op, api)...)
	}
	return out
}

// ways are no filter, each value of each parameter, and pairs of a filter with
// each sort and with a time.
func (x *service) ways(path string, op *huma.Operation, api *huma.OpenAPI) []variant {
	type choice struct{ name, value string }
	var base url.Values = map[string][]string{}
	var filters, sorts, times []choice
	for _, p := range op.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = api.Components.Parameters[name]
		}
		if p.In != "query" || p.Name == "cursor" {
			continue
		}
		values := x.values(p)
		if p.Required {
			base.Set(p.Name, values[0])
			values = values[1:]
		}
		for _, v := range values {
			c := choice{p.Name, v}
			filters = append(filters, c)
			switch p.Name {
			case "sort":
				sorts = append(sorts, c)
			case "created_before", "end_date":
				times = append(times, c)
			}
		}
	}
	var out []variant
	add := func(cs ...choice) {
		q := maps.Clone(base)
		for _, c := range cs {
			q.Set(c.name, c.value)
		}
		v := variant{path: path, query: q.Encode(), url: x.place(path)}
		if v.query != "" {
			v.url += "?" + v.query
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	add()
	for _, f := range filters {
		add(f)
		for _, s := range slices.Concat(sorts, times) {
			if s.name != f.name && f.name != "limit" {
				add(f, s)
			}
		}
	}
	return out
}

// values are what a parameter is asked with: every listed value, or one that is
// frequent, one that is rare and one that nothing has.
func (x *service) values(p *huma.Param) []string {
	if len(p.Schema.Enum) > 0 {
		var out []string
		for _, v := range p.Schema.Enum {
			out = append(out, fmt.Sprint(v))
		}
		return out
	}
	const times = time.RFC3339
	ago := func(d time.Duration) string { return x.now.Add(-d).UTC().Format(times) }
	switch p.Name {
	case "limit":
		return []string{"100"}
	case "created_after", "start_date", "from":
		return []string{ago(9 * day)[:length(p)]}
	case "created_before", "end_date", "to":
		return []string{ago(8 * day)[:length(p)]}
	case "at":
		return []string{ago(day)}
	case "search", "q":
		return []string{"person00001", "liskov", "nobody has this name", "person000017@example.com", x.hot, x.request}
	case "user_id", "actor_id", "admin_id":
		return []string{x.hot, x.users[7], "usr_nobody"}
	case "resource_id":
		return []string{x.user(17), "nothing"}
	case "action":
		return []string{"users.view", "nothing.happened"}
	case "resource_type":
		return []string{"user", "nothing"}
	case "ip":
		return []string{"192.0.2.1"}
	case "request_id":
		return []string{x.request, "req_unknown"}
	case "model_id", "model":
		return []string{"gpt-5-mini", "test-echo"}
	case "role":
		return []string{"super_admin", "support"}
	case "tier":
		return []string{"pro", "free", "pro_max"}
	case "type":
		return []string{"credits.low", "invoice.paid"}
	case "reason":
		return []string{"a reason that is long enough"}
	case "timezone":
		return []string{"Europe/Berlin"}
	}
	switch p.Schema.Type {
	case huma.TypeBoolean:
		return []string{"true", "false"}
	case huma.TypeInteger:
		return []string{"3"}
	}
	return []string{"nothing"}
}

// length is of a time as a parameter takes it.
func length(p *huma.Param) int {
	if p.Schema.Format == "date" {
		return len(time.DateOnly)
	}
	return len("2006-01-02T15:04:05Z")
}

// place fills the parameters of a path with what exists.
func (x *service) place(path string) string {
	id := map[string]string{
		"/admin/users/": x.hot, "/admin/models/": "test-echo", "/admin/subscriptions/": x.plan, "/admin/prorations/": x.proration,
		"/v1/webhooks/": x.endpoint, "/v1/models/": "test-echo", "/admin/usage/": x.call,
	}
	value := "x"
	for prefix, v := range id {
		if strings.HasPrefix(path, prefix) {
			value = v
		}
	}
	return strings.NewReplacer(
		"{userId}", x.hot, "{seq}", "1", "{type}", "user", "{tier}", "pro", "{name}", "account.sweep", "{category}", "email", "{requestId}", x.call,
		"{callId}", "call_x", "{model}", "test-echo", "{id}", value,
	).Replace(path)
}

// Package archtest is the architecture, written down where a test can check
// it. Read Rules before you add a package; change it in the same commit.
package archtest

const ours = "github.com/rephlo/rephlo/internal/"

// Kernel is the vocabulary that everything shares; standard library only.
var Kernel = []string{"calendar", "fault", "id", "list", "money", "secret", "similar"}

// Platform is how we talk to the world; it knows no domain and may import the
// kernel and what Rules adds.
var Platform = []string{"bus", "cache", "cache/redistest", "config", "egress", "idempotency", "job", "mail", "obs", "personal", "seal", "spool", "sqldb", "sqldb/dbtest", "throttle", "web"}

// Rules says which further packages each package may import. A package that is
// not listed may not exist. Kernel and platform are open to every domain;
// access and audit to every domain too. "A/..." stands for A and what is below it.
var Rules = map[string][]string{
	"calendar": {}, "fault": {}, "id": {}, "list": {"fault"}, "money": {}, "secret": {}, "similar": {},

	"sqldb": {}, "sqldb/dbtest": {"sqldb"}, "sqldb/dbtest/faulty": {}, "sqldb/dbtest/pgserver": {}, "sqldb/dbtest/powercut": {}, "sqldb/dbtest/withpg": {"sqldb/dbtest", "sqldb/dbtest/pgserver"},
	"web": {"fault", "id", "money"}, "bus": {"id", "obs", "sqldb"}, "cache": {"seal"}, "cache/redistest": {}, "config": {"secret", "similar"}, "egress": {"fault", "secret"},
	"idempotency": {"fault", "id", "seal", "sqldb", "web"},
	"job":         {"fault", "id", "list", "obs", "sqldb", "web"}, "mail": {"id", "job", "seal", "secret"}, "obs": {}, "personal": {"money", "sqldb"}, "seal": {"fault", "secret"}, "spool": {}, "throttle": {},

	// Domains of both services.
	"access":      {},
	"audit":       {},
	"approval":    {},
	"role":        {},
	"health":      {},
	"privacy":     {"ui"},
	"tier":        {},
	"pack":        {},
	"account":     {"approval"},
	"limit":       {"tier"},
	"margin":      {"approval"},
	"search":      {},
	"impersonate": {"approval"},
	"system":      {},
	"trail":       {},
	"mfa":         {"account", "approval"},
	"passkey":     {"account"},

	// Domains of the Resource API.
	"pricing":         {"llm"},
	"catalog":         {"margin", "pricing", "llm", "catalog/catwalk"},
	"catalog/catwalk": {"pricing"},
	"apikey":          {"account"},
	"credit":          {"approval"},
	"credit/mutants":  {},
	"usage":           {"credit", "pricing"},
	"subscription":    {"account", "credit", "tier"},
	"authn":           {"account", "apikey", "identity/oauth", "role"},
	"webhook":         {},
	"capture":         {},
	"branding":        {},
	"setting":         {"approval"},
	"gateway":         {"account", "apikey", "authn", "capture", "catalog", "pricing", "credit", "usage", "tier", "gateway/route", "gateway/turn", "llm/..."},
	"gateway/turn":    {},
	"gateway/route":   {"llm"},

	// Language models: a hub, and a short cut past it. The vendors are in
	// "vendors" because Go cannot import from a directory called "vendor".
	"llm": {}, "llm/wire": {}, "llm/wire/openai": {}, "llm/wire/google": {"llm"}, "llm/wire/anthropic": {}, "llm/sse": {"llm"}, "llm/picture": {},
	"llm/relay":             {"llm", "llm/wire/..."},
	"llm/upstream":          {"llm", "llm/sse"},
	"llm/dialect":           {"llm"},
	"llm/dialect/openai":    {"llm", "llm/wire/...", "llm/sse", "llm/dialect"},
	"llm/dialect/anthropic": {"llm", "llm/wire/...", "llm/sse", "llm/dialect"},
	"llm/vendors/anthropic": {"llm", "llm/relay", "llm/wire/...", "llm/sse", "llm/upstream"},
	"llm/vendors/openai":    {"llm", "llm/relay", "llm/wire/...", "llm/sse", "llm/upstream"},
	"llm/dialect/google":    {"llm", "llm/wire/...", "llm/sse", "llm/dialect"},
	"llm/vendors/google":    {"llm", "llm/relay", "llm/wire/...", "llm/sse", "llm/upstream"},
	"llm/vendors/azure":     {"llm", "llm/wire/...", "llm/vendors/openai", "llm/upstream"},
	"llm/vendors/compat":    {"llm", "llm/relay", "llm/wire/...", "llm/vendors/openai"},
	"llm/vendors/test":      {"llm", "llm/relay", "llm/wire/...", "llm/vendors/openai"},
	"llm/llmtest":           {"llm/..."},

	// The Identity Provider.
	"identity/oauth":           {},
	"identity/oauth/oauthtest": {},
	"identity/client":          {"identity/oauth", "identity/oauth/oauthtest"},
	"identity/keys":            {"identity/oauth", "identity/oauth/oauthtest"},
	"identity/grant":           {"identity/oauth", "identity/oauth/oauthtest"},
	"identity/sso":             {"account", "approval"},
	"identity/authorize":       {"account", "identity/oauth", "identity/client", "identity/keys", "identity/grant", "identity/sso", "identity/pages"},
	"identity/login":           {"account", "identity/oauth", "identity/client", "identity/sso", "identity/authorize", "identity/pages"},
	"identity/enroll":          {"account", "mfa", "identity/pages"},
	"identity/federation":      {"account", "identity/oauth", "identity/client", "identity/sso", "identity/authorize", "identity/pages"},
	"identity/self":            {"account", "mfa", "passkey", "privacy", "trail", "identity/federation", "identity/client", "identity/grant", "identity/oauth", "identity/sso", "identity/authorize", "identity/enroll", "identity/pages"},
	"identity/challenge":       {"account", "mfa", "passkey", "trail", "identity/oauth", "identity/client", "identity/sso", "identity/authorize", "identity/enroll", "identity/pages"},
	"identity/consent":         {"account", "identity/oauth", "identity/client", "identity/grant", "identity/sso", "identity/authorize", "identity/pages"},
	"identity/logout":          {"account", "identity/oauth", "identity/client", "identity/keys", "identity/grant", "identity/sso", "identity/pages"},
	"identity/token":           {"account", "identity/oauth", "identity/client", "identity/keys", "identity/grant"},
	"identity/userinfo":        {"account", "identity/oauth", "identity/keys", "identity/grant", "identity/client"},
	"identity/device":          {"identity/oauth", "identity/client", "identity/grant", "identity/sso", "identity/authorize", "identity/pages"},
	"identity/conformance":     {},
	"identity/discovery":       {"identity/oauth", "identity/keys"},
	"identity/introspect":      {"identity/oauth", "identity/client", "identity/grant"},
	"identity/register":        {"identity/oauth", "identity/client", "identity/grant"},
	"identity/pages":           {"ui"},

	"ui":       {},
	"console":  {"ui", "account"},
	"manual":   {"ui"},
	"archtest": {},
	"sim":      {"credit"}, // tests only
	"app":      {"..."},
	"cli":      {"account", "apikey", "app", "catalog", "credit", "identity/client", "usage"},
}

// Files says which file of a slice may import what. A rule file (credit.go)
// imports neither HTTP nor SQL, so that it can be read and tested alone.
var Files = map[string][]string{
	"net/http":     {"http.go", "*_http.go"},
	ours + "web":   {"http.go", "*_http.go"},
	"database/sql": {"store.go", "*_store.go"},
}

// HTTPFree packages are adapters and pages: the HTTP half of Files does not
// bind them.
var HTTPFree = []string{"llm/...", "identity/pages", "ui", "console", "app", "cli", "authn", "gateway"}

// Outside says which packages may import each outside module. Adding a line is
// adding a dependency: say why in docs/decisions.
var Outside = map[string][]string{
	"github.com/jackc/pgx/v5":             {"sqldb"},
	"modernc.org/sqlite":                  {"sqldb", "sqldb/dbtest/powercut"},
	"modernc.org/libc":                    {"sqldb/dbtest/powercut"},
	"github.com/pressly/goose/v3":         {"sqldb"},
	"github.com/danielgtaylor/huma/v2":    {"web"},
	"github.com/go-json-experiment/json":  {"config", "web", "llm/...", "gateway", "identity/oauth"},
	"github.com/go-jose/go-jose/v4":       {"identity/oauth", "identity/oauth/oauthtest"},
	"golang.org/x/crypto":                 {"seal", "identity/oauth"},
	"golang.org/x/text":                   {"account", "passkey", "seal"},
	"github.com/go-webauthn/webauthn":     {"passkey"},
	"github.com/boombuler/barcode":        {"mfa"},
	"github.com/coreos/go-oidc/v3":        {"identity/federation"},
	"golang.org/x/oauth2":                 {"identity/federation"},
	"golang.org/x/sync":                   {"account", "apikey", "gateway", "identity/client", "identity/consent"},
	"github.com/maypok86/otter/v2":        {"apikey", "authn"},
	"github.com/tiktoken-go/tokenizer":    {"gateway"},
	"github.com/redis/go-redis/v9":        {"cache"},
	"charm.land/catwalk":                  {"catalog/catwalk"},
	"github.com/alecthomas/kong":          {"cli"},
	"github.com/wneessen/go-mail":         {"mail"},
	"github.com/prometheus/client_golang": {"obs"},
	"golang.org/x/sys":                    {"app", "cli", "spool", "sqldb"},
}

// MaxLines is how long a file of ours may be, tests aside.
const MaxLines = 400

package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/secret"
)

// Config holds the settings. Load makes one; it is a value and never changes.
type Config struct {
	APIAddr string `setting:"api_addr" kind:"addr" default:"127.0.0.1:7150" flag:"common" example:":7150" help:"Address and port on which the Resource API and the console listen. Port 0 takes a free one."`
	IDPAddr string `setting:"idp_addr" kind:"addr" default:"127.0.0.1:7151" flag:"common" example:":7151" help:"Address and port on which the Identity Provider listens. Port 0 takes a free one."`
	OpsAddr string `setting:"ops_addr" kind:"addr_or_off" default:"127.0.0.1:7159" example:":7159" help:"Address and port for operators: metrics at /metrics, profiles at /debug/pprof/. Never make it public. When the default is taken, as by a second server, the process goes without; with port 0 for api_addr it takes a free one. off switches it off."`
	Data    string `setting:"data" kind:"path" default:"./data" flag:"common" example:"/var/lib/rephlo" help:"Folder for the SQLite database, the master key and the outgoing mails. It is created when missing."`
	// DatabaseURL is empty for SQLite in Data; see Database.
	DatabaseURL secret.String `setting:"database_url" kind:"database" default:"" alias:"DATABASE_URL" flag:"common" example:"postgres://rephlo@db.internal/rephlo" help:"PostgreSQL database. Empty: SQLite in the data folder."`
	RedisURL    secret.String `setting:"redis_url" kind:"redis" default:"" example:"redis://:password@cache.internal:6379/0" help:"Redis that several servers on one PostgreSQL share, so that limits are exact across them. Without it, or while it is gone, each server applies its share of a limit."`
	// APIURL and IDPURL have no slash at the end.
	APIURL string `setting:"api_url" kind:"origin" derived:"http://localhost:<port of api_addr>" example:"https://api.example.com" help:"Public address of the Resource API: the audience of access tokens."`
	IDPURL string `setting:"idp_url" kind:"origin" derived:"http://localhost:<port of idp_addr>" example:"https://id.example.com" help:"Public address of the Identity Provider: the issuer of tokens."`
	// MasterKeyFile is read by MasterKey.
	MasterKeyFile string   `setting:"master_key_file" kind:"path" derived:"<data>/master.key" example:"/run/credentials/rephlo/master.key" help:"File with the master key, 32 bytes in base64. When it is not set and the data folder is new, a key is made there with mode 0600."`
	Dev           bool     `setting:"dev" kind:"bool" default:"false" flag:"common" help:"For work on Rephlo itself: page templates are read from the source tree."`
	Origins       []string `setting:"allowed_origins" kind:"origins" default:"" example:"https://app.example.com,http://localhost:3000" help:"Sites whose scripts may read answers (CORS), exactly as the browser sends them, separated by commas."`

	LogFormat string `setting:"log_format" kind:"enum" enum:"auto,text,json" default:"auto" help:"Form of the log. auto: text on a terminal, JSON otherwise."`
	LogLevel  string `setting:"log_level" kind:"enum" enum:"debug,info,warn,error" default:"info" help:"Least severe level that is logged."`

	ShutdownDelay time.Duration `setting:"shutdown_delay" kind:"duration" max:"5m" derived:"0s when both addresses are loopback, else 5s" example:"5s" help:"How long to go on serving after a stop signal while /health/ready already answers 503, so that load balancers look away."`
	DrainTimeout  time.Duration `setting:"drain_timeout" kind:"duration" max:"1h" default:"60s" help:"How long a stop waits for requests and streams that still run."`

	OpenAIAPIKey     secret.String `setting:"openai_api_key" kind:"secret" default:"" alias:"OPENAI_API_KEY" example:"sk-…" help:"Key of the OpenAI account that calls are sent with. Without it, and without providers_file, only the test models answer."`
	OpenAIBaseURL    string        `setting:"openai_base_url" kind:"base" default:"https://api.openai.com/v1" help:"Where the OpenAI provider is reached."`
	AnthropicAPIKey  secret.String `setting:"anthropic_api_key" kind:"secret" default:"" alias:"ANTHROPIC_API_KEY" example:"sk-ant-…" help:"Key of the Anthropic account that calls are sent with. Without it there are no Claude models, unless providers_file has them."`
	AnthropicBaseURL string        `setting:"anthropic_base_url" kind:"base" default:"https://api.anthropic.com/v1" help:"Where the Anthropic provider is reached."`
	GeminiAPIKey     secret.String `setting:"gemini_api_key" kind:"secret" default:"" alias:"GEMINI_API_KEY" example:"AIza…" help:"Key of the Google account (Gemini API) that calls are sent with. Without it there are no Gemini models, unless providers_file has them."`
	GeminiBaseURL    string        `setting:"gemini_base_url" kind:"base" default:"https://generativelanguage.googleapis.com/v1beta" help:"Where the Google provider is reached."`
	ProvidersFile    string        `setting:"providers_file" kind:"path" default:"" example:"/etc/rephlo/providers.json" help:"JSON list of further providers that speak the OpenAI protocol (Ollama, vLLM, Groq …) or, with vendor azure, anthropic or google, that of Azure OpenAI, Anthropic or Google."`
	// Providers is what ProvidersFile lists.
	Providers []Provider

	SMTPAddr     string        `setting:"smtp_addr" kind:"addr" default:"" example:"mail.example.com:587" help:"Mail server, host:port. Without one, mails are written to files in the data folder."`
	SMTPUser     string        `setting:"smtp_user" kind:"text" default:"" help:"User at the mail server; empty for a server that asks for none."`
	SMTPPassword secret.String `setting:"smtp_password" kind:"secret" default:"" help:"Password of smtp_user."`
	SMTPTLS      string        `setting:"smtp_tls" kind:"enum" enum:"starttls,tls,none" default:"starttls" help:"How the connection to the mail server is protected. starttls: a server that does not offer it is refused. tls: from the first byte, as on port 465. none: only for a server on this machine."`
	MailFrom     string        `setting:"mail_from" kind:"mailbox" default:"" example:"Rephlo <no-reply@example.com>" help:"Sender of mails. Required with smtp_addr."`

	OTLPEndpoint string        `setting:"otlp_endpoint" kind:"base" default:"" example:"http://127.0.0.1:4318" help:"Where traces of model calls are sent: the address of an OTLP receiver that takes HTTP with JSON, without /v1/traces. Empty traces nothing."`
	OTLPToken    secret.String `setting:"otlp_token" kind:"secret" default:"" help:"The token that the receiver of traces wants, sent as Authorization: Bearer."`
	TraceOneIn   int64         `setting:"trace_one_in" kind:"int" max:"1000000" default:"100" help:"One model call in so many is traced; 1 traces all. Calls whose traceparent header says that they are sampled are traced always."`

	LedgerHold  string `setting:"ledger_hold" kind:"enum" enum:"overlap,before" default:"overlap" help:"overlap: a call goes to its provider while its credits are being set aside; nothing reaches the client before that is on disk. before: the provider waits too, so that no crash leaves a call that we pay for without a record; it costs a commit more."`
	LedgerAck   string `setting:"ledger_ack" kind:"enum" enum:"durable,async" default:"durable" help:"durable: the last byte of an answer waits until its charge is on disk. async: it does not wait; a crash may charge the calls of the last moment by their last progress report."`
	FreeCredits int64  `setting:"free_credits" kind:"int" max:"1000000" default:"200" help:"Credits that the free plan gives each month, the first time when the e-mail address is verified."`
	DefaultTier string `setting:"default_tier" kind:"enum" enum:"unlimited,free,pro,pro_plus,pro_max,enterprise_pro,enterprise_pro_plus" default:"unlimited" help:"Tier of everybody who has no subscription: which models they may call, and how much in a minute and at once. unlimited: all models that are not kept for single tiers, without such limits."`
	Signup      string `setting:"signup" kind:"enum" enum:"open,off" default:"open" help:"Whether people may create accounts by themselves."`

	ClientRegistration      string        `setting:"client_registration" kind:"enum" enum:"open,token,off" default:"open" help:"Who may register an app at the Identity Provider by a request (RFC 7591). open: everybody; users are asked and see that nobody has vouched for the app. token: who has client_registration_token."`
	ClientRegistrationToken secret.String `setting:"client_registration_token" kind:"secret" default:"" help:"Initial access token for client_registration=token, at least 32 characters."`

	GoogleClientID        string        `setting:"google_client_id" kind:"text" default:"" help:"Id of this installation at Google, from the Google Cloud console; people can then sign in with Google. Register <idp_url>/federation/google/callback there."`
	GoogleClientSecret    secret.String `setting:"google_client_secret" kind:"secret" default:"" help:"Secret of google_client_id."`
	GitHubClientID        string        `setting:"github_client_id" kind:"text" default:"" help:"Id of this installation's OAuth app at GitHub; people can then sign in with GitHub. Register <idp_url>/federation/github/callback there."`
	GitHubClientSecret    secret.String `setting:"github_client_secret" kind:"secret" default:"" help:"Secret of github_client_id."`
	GitHubURL             string        `setting:"github_url" kind:"base" default:"https://github.com" help:"Where GitHub is; another address for a GitHub Enterprise Server."`
	MicrosoftClientID     string        `setting:"microsoft_client_id" kind:"text" default:"" help:"Id of this installation's app at Microsoft Entra; people can then sign in with Microsoft. Register <idp_url>/federation/microsoft/callback there."`
	MicrosoftClientSecret secret.String `setting:"microsoft_client_secret" kind:"secret" default:"" help:"Secret of microsoft_client_id."`
	MicrosoftTenant       string        `setting:"microsoft_tenant" kind:"text" default:"common" example:"contoso.onmicrosoft.com" help:"Whose accounts may sign in: a tenant, organizations, consumers, or common for all of them."`
	OIDCIssuer            string        `setting:"oidc_issuer" kind:"base" default:"" example:"https://login.example.com/realms/staff" help:"Issuer of an OpenID Provider that people can sign in with, such as Keycloak, Okta or another Rephlo. Register <idp_url>/federation/oidc/callback there."`
	OIDCName              string        `setting:"oidc_name" kind:"text" default:"single sign-on" help:"What the button calls the provider of oidc_issuer."`
	OIDCClientID          string        `setting:"oidc_client_id" kind:"text" default:"" help:"Id of this installation at oidc_issuer."`
	OIDCClientSecret      secret.String `setting:"oidc_client_secret" kind:"secret" default:"" help:"Secret of oidc_client_id."`
	OIDCTrustEmail        bool          `setting:"oidc_trust_email" kind:"bool" default:"false" help:"Whether an address that oidc_issuer calls proven (email_verified) is proven here too. Only for a provider that really checks."`

	origins map[string]Origin // by setting name
}

// Off is the address of a listener that is switched off.
const Off = "off"

// SQLiteFile is the name of the database in the data folder.
const SQLiteFile = "rephlo.db"

// Postgres reports whether the database is PostgreSQL.
func (c Config) Postgres() bool { return !c.DatabaseURL.Empty() }

// Database returns the URL for sqldb.Open. It may contain a password.
func (c Config) Database() string {
	if c.Postgres() {
		return c.DatabaseURL.Reveal()
	}
	return "sqlite:" + c.SQLitePath()
}

// SQLitePath returns where the SQLite database is, or would be.
func (c Config) SQLitePath() string { return filepath.Join(c.Data, SQLiteFile) }

// Listening returns c with the public addresses that were not set derived
// from the addresses that are really listened on: with port 0 they are known
// only then.
func (c Config) Listening(apiAddr, idpAddr string) Config {
	if c.Origin("api_url").Source == SourceDefault {
		c.APIURL = localURL(apiAddr)
	}
	if c.Origin("idp_url").Source == SourceDefault {
		c.IDPURL = localURL(idpAddr)
	}
	return c
}

// Loopback reports whether only this machine can reach addr.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func localURL(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // checked when it was read
	return "http://localhost:" + port
}

// derive fills what depends on other settings and was not set.
func (c *Config) derive() {
	*c = c.Listening(c.APIAddr, c.IDPAddr)
	if c.Origin("ops_addr").Source == SourceDefault && strings.HasSuffix(c.APIAddr, ":0") {
		c.OpsAddr = "127.0.0.1:0"
	}
	if c.Origin("master_key_file").Source == SourceDefault {
		c.MasterKeyFile = filepath.Join(c.Data, "master.key")
	}
	if c.Origin("shutdown_delay").Source == SourceDefault && (!Loopback(c.APIAddr) || !Loopback(c.IDPAddr)) {
		c.ShutdownDelay = 5 * time.Second
	}
}

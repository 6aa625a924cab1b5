package setting

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The settings, by category.
var (
	Maintenance = flag("general", "maintenance", false, "Answer everybody but administrators with 503, for work on the service.")

	SignupOpen = flag("signup", "open", true, "Whether people may create accounts by themselves.")

	AllowedOrigins = words("security", "allowedOrigins", origin, "Sites whose scripts may read answers (CORS), exactly as the browser sends them.")
	TrustedProxies = words("security", "trustedProxies", network, "Addresses or networks (CIDR) of the proxies in front of this service. What they say about where a request comes from is believed, and nobody else: limits, allow-lists, the audit log and the list of sign-ins use it.")
	ProxyHeader    = word("security", "proxyHeader", "x-forwarded-for", 20, oneOf("x-forwarded-for", "forwarded"), "The header in which they say it. They must replace or extend what the client sent in it.")

	TrustedDevices = flag("signin", "trustedDevices", false, "Whether people may have a browser not ask for their second factor for 30 days; never those with a role.")

	CreditValue     = guarded(whole("pricing", "valueMicroUsd", 10_000, 1, 1_000_000_000, "What a credit is worth, in millionths of a dollar; for new charges only. A second person agrees to a change."))
	ChargeIncrement = whole("pricing", "incrementMicro", 10_000, 1_000, 1_000_000, "Charges are rounded up to a multiple of this many millionths of a credit: 1000, 10000, 100000 or 1000000; for new charges only.")
	DefaultMargin   = whole("pricing", "defaultMarginBp", 15_000, 10_000, 1_000_000, "What a call costs is its vendor's price times this, in ten-thousandths; for new charges only.")

	BonusDays  = whole("credits", "bonusExpiryDays", 90, 1, 3650, "How long credits last that an administrator gives without saying until when.")
	InFlight   = whole("overload", "inFlight", 512, 16, 65_536, "With how many model calls at once a server begins before further ones wait their turn by the weight of their tier. While it keeps its time it takes more, up to sixteen times as many.")
	PackMonths = whole("packs", "expiryMonths", 12, 0, 120, "How many months the credits of a pack last; 0: for ever.")

	SupportGrant = grantCap("supportGrant", 5_000, "with one grant", "support")
	SupportDay   = grantCap("supportDay", 20_000, "in a UTC day", "support")
	SupportMonth = grantCap("supportMonth", 100_000, "in a UTC month", "support")
	OpsGrant     = grantCap("opsGrant", 10_000, "with one grant", "ops")
	OpsDay       = grantCap("opsDay", 50_000, "in a UTC day", "ops")
	OpsMonth     = grantCap("opsMonth", 200_000, "in a UTC month", "ops")
	AdminGrant   = grantCap("adminGrant", 50_000, "with one grant", "admin")
	AdminDay     = grantCap("adminDay", 250_000, "in a UTC day", "admin")
	AdminMonth   = grantCap("adminMonth", 1_000_000, "in a UTC month", "admin")

	Capture     = flag("llm", "capture", false, "Whether owners of API keys may have what is asked and answered kept for them, sealed.")
	FetchImages = flag("llm", "fetchImages", false, "Whether images that a request names by an https address are loaded for model providers that load none themselves.")
	ChargeKept  = flag("llm", "chargeKeptAnswers", false, "Whether the answer of an earlier call that is given again costs what it cost at first; else it costs nothing.")

	PriceNoticeDays = whole("billing", "priceNoticeDays", 30, 0, 365, "How long before a renewal its customer must have been told of a higher price for it to hold.")

	MailHost     = word("email", "host", "", 253, nothing, "Mail server; empty: mails are written to files in the data folder.")
	MailPort     = whole("email", "port", 587, 1, 65_535, "Its port.")
	MailUser     = word("email", "user", "", 254, nothing, "User at the mail server; empty for a server that asks for none.")
	MailPassword = hidden("email", "password", "Password of the user.")
	MailTLS      = word("email", "tls", "starttls", 10, oneOf("starttls", "tls", "none"), "How the connection is protected; none only for a server on this machine.")
	MailFrom     = word("email", "from", "", 254, mailbox, "Sender of mails.")

	WebhookLogDays = whole("webhooks", "logDays", 30, 1, 365, "How long deliveries of webhooks are kept.")

	GraceDays       = whole("privacy", "deletionGraceDays", 14, 1, 90, "How long people who deleted their account can undo it, before everything about them is erased; for new deletions only.")
	CaptureDays     = whole("retention", "captureDays", 30, 1, 365, "How long requests and answers are kept that owners of API keys wanted to be.")
	AuditYears      = whole("retention", "auditYears", 7, 1, 100, "How long the audit log is kept; what is older is forgotten from the oldest on, behind a signed marker.")
	DiagnosticsDays = whole("retention", "diagnosticsDays", 90, 1, 365, "How long diagnostics that people send are kept.")
)

// grantCap is how many credits somebody with a role gives away alone.
func grantCap(name string, standard int64, when, role string) Key[int64] {
	return whole("grant_caps", name, standard, 0, 1_000_000_000, "Credits that somebody with the role "+role+" gives away "+when+"; more needs a second person.")
}

// together checks what keys of a category say about each other.
var together = map[string]func(values map[string]any) *Wrong{
	"pricing": func(v map[string]any) *Wrong {
		switch v["incrementMicro"] {
		case int64(1_000), int64(10_000), int64(100_000), int64(1_000_000):
			return nil
		}
		return &Wrong{"incrementMicro", "must be 1000, 10000, 100000 or 1000000"}
	},
	"email": func(v map[string]any) *Wrong {
		host, from := v["host"] != "", v["from"] != ""
		switch {
		case host && !from:
			return &Wrong{"from", "is needed with a mail server"}
		case v["user"] != "" && !host:
			return &Wrong{"host", "is needed with a user"}
		case v["tls"] == "none" && host && v["user"] != "" && !local(v["host"]):
			return &Wrong{"tls", "must protect a password on its way"}
		}
		return nil
	},
}

func local(host any) bool {
	h, _ := host.(string)
	ip := net.ParseIP(h)
	return h == "localhost" || ip != nil && ip.IsLoopback()
}

func nothing(string) string { return "" }

func oneOf(words ...string) func(string) string {
	return func(v string) string {
		if slices.Contains(words, v) {
			return ""
		}
		return "must be one of " + strings.Join(words, ", ")
	}
}

func mailbox(v string) string {
	if v == "" {
		return ""
	}
	if _, err := mail.ParseAddress(v); err != nil {
		return "must be an address, perhaps with a name: Rephlo <no-reply@example.com>"
	}
	return ""
}

// network is a check for an address, or a network that is not everybody.
func network(v string) string {
	if _, err := netip.ParseAddr(v); err == nil {
		return ""
	}
	if p, err := netip.ParsePrefix(v); err != nil || p.Masked() != p || p.Bits() < 4 {
		return "must be an address or a network of which only the bits of its mask are set, and not nearly everybody: 10.0.0.0/8"
	}
	return ""
}

func origin(v string) string {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != v {
		return "must be a scheme and a host, perhaps with a port, and nothing behind it: https://app.example.com"
	}
	return ""
}

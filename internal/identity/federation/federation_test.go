package federation

import "testing"

func TestTheIssuerIsThatOfTheMetadata(t *testing.T) {
	t.Parallel()
	const template = "https://login.microsoftonline.com/{tenantid}/v2.0"
	for _, tt := range []struct {
		metadata, iss, tenant string
		want                  bool
	}{
		{"https://accounts.google.com", "https://accounts.google.com", "", true},
		{"https://accounts.google.com", "accounts.google.com", "", false},
		{"https://accounts.google.com", "https://accounts.google.com/", "", false},
		{"", "", "", false},
		{template, "https://login.microsoftonline.com/9188040d/v2.0", "9188040d", true},
		{template, "https://login.microsoftonline.com/9188040d/v2.0", "other", false},
		{template, "https://login.microsoftonline.com/9188040d/v2.0", "", false},
		{template, template, "", false},
		{template, template, "{tenantid}", false},
		{template, "https://evil.test/v2.0", "evil.test", false},
	} {
		if got := issuedBy(tt.metadata, tt.iss, tt.tenant); got != tt.want {
			t.Errorf("%q by %q for %q: %v", tt.iss, tt.metadata, tt.tenant, got)
		}
	}
}

// Whose word counts for an address: Google's and GitHub's always, that of other
// OpenID Providers by setting, Microsoft's never.
func TestWhoVouchesForAnAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind     string
		trust    bool
		verified any
		want     bool
	}{
		{Google, false, true, true},
		{Google, false, "true", true},
		{Google, true, false, false},
		{Google, true, nil, false},
		{Google, true, "yes", false},
		{Google, true, 1.0, false},
		{OpenID, false, true, false},
		{OpenID, true, true, true},
		{OpenID, true, nil, false},
		{Microsoft, true, true, false},
	} {
		o := openID{settings: Settings{Kind: tt.kind, TrustEmail: tt.trust}}
		if got := o.read("https://op.test", claims{Subject: "1", Verified: tt.verified}).Vouched; got != tt.want {
			t.Errorf("%s, trusted %v, says %v: %v", tt.kind, tt.trust, tt.verified, got)
		}
	}
}

func TestNamesOfStrangers(t *testing.T) {
	t.Parallel()
	for full, want := range map[string][2]string{"": {}, " Ada ": {"Ada", ""}, "Ada King Lovelace": {"Ada", "King Lovelace"}} {
		if first, last := names("", "", full); [2]string{first, last} != want {
			t.Errorf("%q: %q %q", full, first, last)
		}
	}
	if first, last := names("Ada", "", "Ada Lovelace"); first != "Ada" || last != "" {
		t.Errorf("given names lose: %q %q", first, last)
	}
}

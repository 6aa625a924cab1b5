package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Source is where a value came from.
type Source string

// The sources, from the strongest to the weakest.
const (
	SourceFlag        Source = "flag"
	SourceEnvironment Source = "environment"
	SourceFile        Source = "file"
	SourceDefault     Source = "default"
)

// Origin says where a value came from.
type Origin struct {
	Source Source `json:"source"`
	// Place is the flag, the variable or file:line; empty for a default.
	Place string `json:"place,omitempty"`
	// Alias is the other name under which it was found, if it was.
	Alias string `json:"alias,omitempty"`
	// SecretFile is the file that held the value, when NAME_FILE named one.
	SecretFile string `json:"secretFile,omitempty"`
}

func (o Origin) String() string {
	text := string(o.Source)
	if o.Place != "" {
		text += " " + o.Place
	}
	if o.Alias != "" {
		text += " (alias " + o.Alias + ")"
	}
	if o.SecretFile != "" {
		text += " -> " + o.SecretFile
	}
	return text
}

// Input is what Load reads besides files.
type Input struct {
	// Flags are the flags that were given, by name without dashes.
	Flags map[string]string
	// File is the settings file; empty: REPHLO_CONFIG, or none.
	File string
	// Environ is the environment as os.Environ gives it; nil: the process's.
	Environ []string
}

// minToken is how long a token is that an operator chooses.
const minToken = 32

// ConfigEnv names the settings file in the environment, as --config does.
const ConfigEnv = Prefix + "CONFIG"

// testPrefix begins names in the environment that only tests read.
const testPrefix = Prefix + "TEST_"

// given is one value that somebody wrote, under its name in the environment.
type given struct {
	value  string
	where  string // for mistakes: with the column
	origin Origin
}

// Load reads the settings. Its error is of type Mistakes.
func Load(in Input) (Config, error) {
	l := loader{c: Config{origins: map[string]Origin{}}}
	if in.Environ == nil {
		in.Environ = os.Environ()
	}
	flags := l.flags(in.Flags)
	env := l.environment(in.Environ)
	file := l.file(cmp.Or(in.File, env[ConfigEnv].value))
	for _, s := range Settings() {
		l.apply(s, []map[string]given{flags, env, file})
	}
	if len(l.wrong) == 0 {
		l.c.derive()
		l.together()
	}
	if l.c.ProvidersFile != "" {
		l.providers()
	}
	if len(l.wrong) > 0 {
		return Config{}, l.wrong
	}
	return l.c, nil
}

// loader collects values and mistakes.
type loader struct {
	c     Config
	wrong Mistakes
}

// names lists every name that may stand in the environment or the file.
func names() []string {
	var out []string
	for _, s := range Settings() {
		out = append(out, s.Env())
		if s.Secret() {
			out = append(out, s.Env()+"_FILE")
		}
		if s.Alias != "" {
			out = append(out, s.Alias)
		}
	}
	return out
}

func (l *loader) flags(flags map[string]string) map[string]given {
	out := map[string]given{}
	for name, value := range flags {
		env := Prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		out[env] = given{value: value, where: "--" + name, origin: Origin{Source: SourceFlag, Place: "--" + name}}
	}
	return out
}

func (l *loader) environment(environ []string) map[string]given {
	known := names()
	out := map[string]given{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		where := name + " in the environment"
		switch {
		case slices.Contains(known, name) || name == ConfigEnv:
			out[name] = given{value: value, where: where, origin: Origin{Source: SourceEnvironment, Place: name}}
		case strings.HasPrefix(name, Prefix) && !strings.HasPrefix(name, testPrefix):
			l.wrong.add(where, "there is no setting of that name%s", didYouMean(name, known))
		}
	}
	return out
}

func (l *loader) file(path string) map[string]given {
	if path == "" {
		return nil
	}
	text, err := readSmall(path)
	if err != nil {
		l.wrong.add(path, "%s", err)
		return nil
	}
	lines, wrong := parseDotenv(path, text)
	l.wrong = append(l.wrong, wrong...)
	known := names()
	out := map[string]given{}
	for _, a := range lines {
		if !slices.Contains(known, a.name) {
			l.wrong.add(place(path, a.line, 1), "there is no setting %s%s", a.name, didYouMean(a.name, known))
			continue
		}
		out[a.name] = given{
			value: a.value, where: place(path, a.line, a.column) + ": " + a.name,
			origin: Origin{Source: SourceFile, Place: fmt.Sprintf("%s:%d", path, a.line)},
		}
	}
	return out
}

// apply gives s the value of the strongest source that has one.
func (l *loader) apply(s Setting, sources []map[string]given) {
	l.c.origins[s.Name] = Origin{Source: SourceDefault}
	for _, source := range sources {
		g, ok := l.find(s, source)
		if !ok {
			continue
		}
		if err := s.set(&l.c, g.value); err != nil {
			l.wrong.add(g.where, "%s", err)
		}
		l.c.origins[s.Name] = g.origin
		return
	}
	if s.Default == "" {
		return
	}
	if err := s.set(&l.c, s.Default); err != nil {
		l.wrong.add("default of "+s.Name, "%s", err)
	}
}

// find returns what one source says about s: under its name, from the file
// that NAME_FILE names, or under its alias.
func (l *loader) find(s Setting, source map[string]given) (given, bool) {
	g, byFile := source[s.Env()], source[s.Env()+"_FILE"]
	switch {
	case g.value != "" && s.Secret() && byFile.value != "":
		l.wrong.add(byFile.where, "%s is set too; remove one of the two", s.Env())
		return given{}, false
	case g.value != "":
		return g, true
	case s.Secret() && byFile.value != "":
		text, err := readSmall(byFile.value)
		if err != nil {
			l.wrong.add(byFile.where, "%s", err)
			return given{}, false
		}
		byFile.origin.SecretFile = byFile.value
		byFile.value = strings.TrimRight(text, "\r\n")
		return byFile, byFile.value != ""
	case s.Alias != "" && source[s.Alias].value != "":
		g = source[s.Alias]
		g.origin.Alias = s.Alias
		return g, true
	}
	return given{}, false
}

// together checks what only shows when settings are seen side by side.
func (l *loader) together() {
	free := strings.HasSuffix(l.c.APIURL, ":0") // two free ports are two addresses
	if l.c.APIURL == l.c.IDPURL && !free {
		l.wrong.add("idp_url", "api_url and idp_url are both %s; the two services need different addresses", l.c.APIURL)
	}
	if l.c.APIAddr == l.c.IDPAddr && !strings.HasSuffix(l.c.APIAddr, ":0") {
		l.wrong.add("idp_addr", "api_addr and idp_addr are both %s; the two services need different ports", l.c.APIAddr)
	}
	if l.c.SMTPAddr != "" && l.c.MailFrom == "" {
		l.wrong.add("mail_from", "set it together with smtp_addr: mail servers want to know who sends")
	}
	if l.c.SMTPUser != "" && l.c.SMTPPassword.Empty() {
		l.wrong.add("smtp_password", "set it together with smtp_user")
	}
	for _, p := range []struct {
		prefix, id string
		secret     bool
	}{
		{"google", l.c.GoogleClientID, !l.c.GoogleClientSecret.Empty()},
		{"github", l.c.GitHubClientID, !l.c.GitHubClientSecret.Empty()},
		{"microsoft", l.c.MicrosoftClientID, !l.c.MicrosoftClientSecret.Empty()},
		{"oidc", l.c.OIDCClientID, !l.c.OIDCClientSecret.Empty()},
	} {
		if (p.id != "") != p.secret {
			l.wrong.add(p.prefix+"_client_secret", "set %s_client_id and %s_client_secret together", p.prefix, p.prefix)
		}
	}
	if (l.c.OIDCIssuer != "") != (l.c.OIDCClientID != "") {
		l.wrong.add("oidc_issuer", "set oidc_issuer and oidc_client_id together")
	}
	if token := l.c.ClientRegistrationToken.Reveal(); l.c.ClientRegistration == "token" && len(token) < minToken || token != "" && l.c.ClientRegistration != "token" {
		l.wrong.add("client_registration_token", "set it, with at least %d characters, together with client_registration=token and only then", minToken)
	}
}

// Origin returns where the named setting's value came from.
func (c Config) Origin(name string) Origin {
	if o, ok := c.origins[name]; ok {
		return o
	}
	return Origin{Source: SourceDefault}
}

// value returns the setting's value as it would be written, for print.
func (c Config) value(s Setting) any { return reflect.ValueOf(c).Field(s.index).Interface() }

// readSmall reads a text file of at most maxFile bytes. Its errors name no
// content.
func readSmall(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the file %s does not exist", path)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("cannot read the file: %w", err)
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("the file %s is larger than 1 MiB", path)
	}
	return string(data), nil
}

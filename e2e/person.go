package e2e

import (
	"errors"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Person has a browser, an address and a password.
type Person struct {
	Email, Password string
	t               testing.TB
	s               *Server
	browser         *http.Client
}

// NewPerson returns somebody whom the server does not know.
func (s *Server) NewPerson(email string) *Person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &Person{Email: email, Password: "correct horse battery staple 9", t: s.t, s: s}
	p.browser = &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if "http://"+r.URL.Host != s.IDP && "http://"+r.URL.Host != s.API {
			return http.ErrUseLastResponse // to the app
		}
		return nil
	}}
	return p
}

// Visit opens a page.
func (p *Person) Visit(address string) *Page {
	p.t.Helper()
	res, err := p.browser.Get(address)
	if err != nil {
		p.t.Fatal(err)
	}
	return readPage(p.t, res)
}

// Submit sends a form of a page; the answer may be a redirect to an app, which
// is returned as location.
func (p *Person) Submit(from *Page, f Form) (next *Page, location *url.URL) {
	p.t.Helper()
	action, err := from.URL.Parse(f.Action)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, action.String(), strings.NewReader(f.Values.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", from.URL.Scheme+"://"+from.URL.Host) // as browsers do
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := p.browser.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	if to, err := res.Location(); err == nil {
		_ = res.Body.Close()
		return nil, to
	}
	return readPage(p.t, res), nil
}

// Register signs up through the page and proves the address by the mailed
// link.
func (p *Person) Register() {
	p.t.Helper()
	page := p.Visit(p.s.IDP + "/register")
	f, err := page.Form("email", "password")
	if err != nil {
		p.t.Fatal(err)
	}
	f.Values.Set("email", p.Email)
	f.Values.Set("password", p.Password)
	if page, _ = p.Submit(page, f); page == nil || page.Status != http.StatusOK {
		p.t.Fatalf("the sign-up answered %+v", page)
	}
	page = p.Visit(p.MailedLink())
	if f, err = page.Form("token"); err != nil {
		p.t.Fatal(err)
	}
	if page, _ = p.Submit(page, f); page == nil || page.Status != http.StatusOK {
		p.t.Fatalf("the proof of the address answered %+v", page)
	}
}

var link = regexp.MustCompile(`https?://\S+`)

// MailedLink waits for the newest mail to the person and returns the link in
// it.
func (p *Person) MailedLink() string {
	p.t.Helper()
	for range 400 {
		files, _ := filepath.Glob(filepath.Join(p.s.Data, "mail", "*.eml"))
		for _, file := range slices.Backward(files) { // names rise with time
			if found := p.readMail(file); found != "" {
				return found
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	p.t.Fatalf("no mail to %s in %s", p.Email, filepath.Join(p.s.Data, "mail"))
	return ""
}

// readMail returns the link in a message, or nothing when it is to another.
func (p *Person) readMail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	if err != nil || !strings.Contains(m.Header.Get("To"), p.Email) {
		return "" // perhaps half-written
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return ""
	}
	return link.FindString(string(body))
}

// Authorize opens an app's authorization request and does what the pages ask
// for: sign in, allow, go on. It returns where the app is sent.
func (p *Person) Authorize(request string) (*url.URL, error) {
	p.t.Helper()
	res, err := p.browser.Get(request)
	if err != nil {
		p.t.Fatal(err)
	}
	if to, err := res.Location(); err == nil {
		_ = res.Body.Close()
		return to, nil
	}
	page := readPage(p.t, res)
	for range 8 {
		if strings.Contains(page.Text, "Your device is connected") {
			return page.URL, nil // which goes on by itself
		}
		form, err := p.step(page)
		if err != nil {
			return nil, err
		}
		next, to := p.Submit(page, form)
		if to != nil {
			return to, nil
		}
		page = next
	}
	return nil, errors.New("the sign-in does not come to an end")
}

// step fills in the form of one step.
func (p *Person) step(page *Page) (Form, error) {
	if f, err := page.Form("name", "password"); err == nil {
		f.Values.Set("name", p.Email)
		f.Values.Set("password", p.Password)
		return f, nil
	}
	if f, err := page.Form("user_code"); err == nil { // filled in by the address
		return f, nil
	}
	for _, decision := range []string{"allow", "continue"} {
		if f, ok := page.Choice("decision", decision); ok {
			return f, nil
		}
	}
	return page.Form("neither sign-in nor consent")
}

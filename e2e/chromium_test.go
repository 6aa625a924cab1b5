package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/rephlo/rephlo/e2e"
)

// browser starts headless Chromium; complaints returns what it has complained
// of since, such as a blocked script or style.
func browser(t *testing.T) (ctx context.Context, complaints func() []string) {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("Chromium was not found, and in CI the pages must be tried in a browser; install the package chromium")
		}
		t.Skip("Chromium was not found: the pages are not tried in a browser (Debian: apt install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	var mu sync.Mutex
	var found []string
	add := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		found = append(found, fmt.Sprintf(format, args...))
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				add("%s: %s", e.Entry.Level, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			add("exception: %s", e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	limited, stop := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	return limited, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return found
	}
}

// A person with a real browser signs up, signs in and allows an app; once with
// scripts and once without.
func TestPagesInChromium(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			ctx, complaints := browser(t)
			callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprintf(w, `<!doctype html><title>app</title><link rel="icon" href="data:,"><h1 id="code">%s</h1>`, r.URL.Query().Get("code"))
			}))
			defer callback.Close()
			app := s.NewApp()
			app.Redirect = callback.URL + "/callback"
			request := app.Request(nil)
			ada := s.NewPerson(strings.ReplaceAll(name, " ", "-") + "@example.com")

			const button = chromedp.CSS(`main form button`)
			if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts}); err != nil {
				t.Fatal(err)
			}
			do(ctx, t, complaints,
				chromedp.EmulateViewport(320, 640), // a small phone
				chromedp.Navigate(s.IDP+"/register"),
				chromedp.SendKeys(chromedp.CSS(`input[name=email]`), ada.Email),
				chromedp.SendKeys(chromedp.CSS(`input[name=password]`), ada.Password),
				chromedp.Click(chromedp.CSS(`input[name=acceptedTerms]`)),
				chromedp.Click(button),
				chromedp.WaitVisible(chromedp.CSS(`form[action="/verify/resend"]`)),
			)
			do(ctx, t, complaints,
				chromedp.Navigate(ada.MailedLink()),
				chromedp.Click(chromedp.CSS(`form[action="/verify"] button`)),
				chromedp.WaitNotPresent(chromedp.CSS(`form[action="/verify"]`)),
				chromedp.Navigate(request.URL),
				chromedp.SendKeys(chromedp.CSS(`input[name=name]`), ada.Email),
				chromedp.SendKeys(chromedp.CSS(`input[name=password]`), ada.Password),
				chromedp.Click(button),
				chromedp.WaitVisible(chromedp.CSS(`button[value=allow]`)),
			)
			headings := ask[int](ctx, t, `document.querySelectorAll("h1").length`)
			background := ask[string](ctx, t, `getComputedStyle(document.querySelector("button[value=allow]")).backgroundColor`)
			wide := ask[int](ctx, t, `document.documentElement.scrollWidth`)
			do(ctx, t, complaints, chromedp.Click(chromedp.CSS(`button[value=allow]`)), chromedp.WaitVisible(chromedp.CSS(`#code`)))
			code, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`#code`)))
			if err != nil {
				t.Fatal(err)
			}
			if wide > 320 {
				t.Errorf("the consent page is %d pixels wide on a screen of 320", wide)
			}
			if headings != 1 {
				t.Errorf("the page has %d first-level headings, want 1", headings)
			}
			if background == "" || background == "rgb(239, 239, 239)" {
				t.Errorf("the button's colour is %q: the styles did not load", background)
			}
			if found := complaints(); len(found) > 0 {
				t.Errorf("the browser complains: %v", found)
			}
			if tokens, err := app.Exchange(strings.TrimSpace(code), request); err != nil || tokens.Access == "" {
				t.Errorf("the code that the browser brought: %v", err)
			}
		})
	}
}

func do(ctx context.Context, t *testing.T, complaints func() []string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%v; the browser said %v", err, complaints())
	}
}

func ask[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

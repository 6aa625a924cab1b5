package pages

import (
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

// Privacy is what somebody can do with everything that is known about them.
type Privacy struct {
	Person
	// Asked says that there is an export, ordered At and kept Until.
	Asked, Failed bool
	Link          string // of its file; empty until it is ready
	Size          int64  // bytes
	At, Until     time.Time
	Days          int    // in which a deletion can be undone
	Form, Done    string // as in Security
}

type privacyPage struct {
	area
	Asked, Failed             bool
	Link, Size, At, Until, By string
}

// moment returns a time as people read it.
func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 MST") }

// Privacy shows the page; err is what was wrong with one of its forms.
func (s *Screens) Privacy(w http.ResponseWriter, in Privacy, err *fault.Error) error {
	base, status := s.area("privacy.title", "/account/privacy", in.Person, in.Form, err)
	base.Done = s.done("privacy", in.Done)
	d := privacyPage{
		area: base, Asked: in.Asked, Failed: in.Failed, Link: in.Link, Size: size(in.Size), At: moment(in.At), Until: moment(in.Until),
		By: s.t.Text("privacy.delete.undo", in.Days),
	}
	return s.t.Render(w, status, "privacy", &d, ui.Options{})
}

// size returns a number of bytes as people read it.
func size(n int64) string {
	if n >= 1<<20 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt((n+1023)>>10, 10) + " KiB"
}

type left struct {
	ui.Page
	When string
}

// Left says that the account is closed, and until when signing in opens it again.
func (s *Screens) Left(w http.ResponseWriter, erased time.Time) error {
	d := left{Page: ui.Page{Title: s.t.Text("left.title")}, When: moment(erased)}
	return s.t.Render(w, http.StatusOK, "left", &d, ui.Options{})
}

package pages

import (
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

// Device is what a person is told of a device that asks for access.
type Device struct {
	Address string
	Agent   string
	AskedAt time.Time
}

// At returns when it asked, as people read it.
func (d Device) At() string { return d.AskedAt.UTC().Format("2 January 2006, 15:04 MST") }

// Shown returns what the device calls itself, bounded.
func (d Device) Shown() string { return shown(d.Agent) }

type device struct {
	ui.Page
	Code, Problem string
}

// Device shows the form for the code that a device shows. code is filled in;
// err is what was wrong with the last one, if there was one.
func (s *Screens) Device(w http.ResponseWriter, code string, err *fault.Error) error {
	d := device{Page: ui.Page{Title: s.t.Text("device.title")}, Code: code[:min(len(code), 32)]}
	status := http.StatusOK
	if err != nil {
		d.Problem = err.Message
		if err.Kind == fault.RateLimited {
			status = err.Kind.Status()
		}
	}
	return s.t.Render(w, status, "device", &d, ui.Options{})
}

type deviceDone struct {
	ui.Page
	Lead, Home string
}

// DeviceDone says what was decided about a device.
func (s *Screens) DeviceDone(w http.ResponseWriter, client string, allowed bool) error {
	d := deviceDone{Page: ui.Page{Title: s.t.Text("device.denied")}, Lead: s.t.Text("device.denied.lead"), Home: s.home}
	if allowed {
		d.Title, d.Lead = s.t.Text("device.done"), s.t.Text("device.done.lead", shown(client))
	}
	return s.t.Render(w, http.StatusOK, "devicedone", &d, ui.Options{})
}

package gateway_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/seal"
)

// copying lets the world keep payloads while on says so; what returns those of
// the user, the oldest first.
func (w *world) copying(on *atomic.Bool) (what func(want int) []capture.Payload) {
	w.t.Helper()
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		w.t.Fatal(err)
	}
	s := capture.New(capture.Needs{DB: w.db, Box: box, Log: w.logger, Now: time.Now, On: on.Load, Keep: func() time.Duration { return time.Hour }})
	w.calls.Capture(s)
	return func(want int) []capture.Payload {
		w.t.Helper()
		var out []capture.Payload
		w.check(w.t.Context())
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		s.Run(ctx)
		rows, err := s.List(w.t.Context(), user, "", "", 100)
		if err != nil || len(rows) != want {
			w.t.Fatalf("%d payloads, %v; want %d", len(rows), err, want)
		}
		for i := range rows {
			_, p, err := s.Read(w.t.Context(), user, rows[len(rows)-1-i].ID, "")
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, p)
		}
		return out
	}
}

func TestWhatIsAskedAndAnsweredIsKeptWhereBothWantIt(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		var on atomic.Bool
		what := w.copying(&on)
		post := func(body string, header ...string) { // calls of one millisecond have no order
			w.post(body, header...)
			for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
				runtime.Gosched()
			}
		}
		const key = "Bearer copied"
		w.one.does(says(200, okAnswer))
		post(chat("single", ""), "Authorization", key)
		on.Store(true)
		post(chat("single", ""))
		what(0) // the operator did not want the first, the owner not the second
		post(chat("single", ""), "Authorization", key)
		w.one.does(streams(role, token("Hello"), stop, total, done))
		post(chat("single", `,"stream":true`), "Authorization", key)
		w.one.does(streams(role, token("Hel"), "cut"))
		post(chat("single", `,"stream":true`), "Authorization", key)
		w.one.does(says(400, `{"error":{"message":"no"}}`))
		post(chat("single", `,"x":1`), "Authorization", key)
		image := dataURL("image/png", append(photo(t, 9, 9), make([]byte, 300_000)...))
		w.one.does(says(200, okAnswer))
		post(`{"model":"single","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"`+image+`"}}]}]}`, "Authorization", key)
		w.send(t.Context(), "/v1/messages", message("single", ""), "Authorization", key)
		got := what(6)
		for i, want := range []struct{ request, answer, kind, code string }{
			{chat("single", ""), okAnswer, "application/json", ""},
			{chat("single", `,"stream":true`), role + token("Hello") + stop + done, "text/event-stream", ""},
			{chat("single", `,"stream":true`), role + token("Hel") + `data: {"error":`, "text/event-stream", "upstream_error"},
			{chat("single", `,"x":1`), "", "", "invalid_request"},
			{`"url":"[image/png, 400`, okAnswer, "application/json", ""},
			{message("single", ""), `"type":"message"`, "application/json", ""},
		} {
			p := got[i]
			if !strings.Contains(p.Request, want.request) || !strings.Contains(p.Answer, want.answer) || p.AnswerType != want.kind || p.Error != want.code || p.RequestCut || p.AnswerCut {
				t.Errorf("%d: %+v, want %+v", i, p, want)
			}
		}
		if got[3].Answer != "" || strings.Contains(w.log.String(), "Say hello") {
			t.Errorf("%+v", got[3])
		}
	})
}

func TestALongStreamIsKeptInPart(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		var on atomic.Bool
		on.Store(true)
		what := w.copying(&on)
		part := token(strings.Repeat("word ", 20_000))
		parts := []string{role}
		for range 15 {
			parts = append(parts, part)
		}
		w.one.does(streams(append(parts, stop, total, done)...))
		if r := w.post(chat("single", `,"stream":true`), "Authorization", "Bearer copied"); len(r.body) < 1_500_000 {
			t.Fatalf("%d bytes, %d", len(r.body), r.status)
		}
		if p := what(1)[0]; !p.AnswerCut || len(p.Answer) < 256<<10-3 || len(p.Answer) > 256<<10+3 {
			t.Errorf("%d bytes, cut: %v", len(p.Answer), p.AnswerCut)
		}
	})
}

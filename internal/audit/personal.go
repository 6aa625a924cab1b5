package audit

import (
	"context"
	"encoding/json"

	"github.com/rephlo/rephlo/internal/personal"
)

// exportPage is how many entries are held in memory at a time.
const exportPage = 500

// Personal is what the log has of people, as a personal.Part.
type Personal struct{ Log *Log }

// Export implements personal.Part: what somebody did, and what was done to their
// account, without who did that.
func (a Personal) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	columns := []string{"seq", "createdAt", "action", "resourceType", "resourceId", "outcome", "reason", "ip", "agent", "before", "after"}
	if err := a.Log.exportSheet(ctx, to, "done-by-you", columns, Filter{Actor: p.ID}, ""); err != nil {
		return err
	}
	return a.Log.exportSheet(ctx, to, "done-to-your-account", columns, Filter{Type: "user", ID: p.ID}, p.ID)
}

// exportSheet writes the entries that f chooses, newest first, but for those of
// the actor without.
func (l *Log) exportSheet(ctx context.Context, to personal.Sheets, name string, columns []string, f Filter, without string) error {
	if err := to.Begin(name, columns); err != nil {
		return err
	}
	for {
		page, err := l.List(ctx, f, exportPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			f.Below = e.Seq
			if without != "" && e.Actor == without {
				continue
			}
			if without != "" {
				e.IP, e.Client = "", "" // somebody else's
			}
			err := to.Row([]any{e.Seq, e.At, e.Action, e.Type, e.ID, string(e.Outcome), e.Reason, e.IP, e.Client, shown(e.Before), shown(e.After)})
			if err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

func shown(fields map[string]json.RawMessage) any {
	if len(fields) == 0 {
		return nil
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return json.RawMessage(b)
}

// Erase implements personal.Part: it destroys the person's key, see Forget.
func (a Personal) Erase(ctx context.Context, p personal.Person) error { return a.Log.Forget(ctx, p.ID) }

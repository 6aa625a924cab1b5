package sqldb_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// A list's text has the conditions that are asked for and no others.
func TestWhereHasWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	var w sqldb.Where
	if w.String() != "" || w.Args() != nil {
		t.Errorf("nothing asked for is %q", &w)
	}
	w.Is("state", "")
	w.Is("tier", "pro")
	w.And("at >= ? AND at < ?", 1, 2)
	w.And("ended_at IS NULL")
	w.Below("id", "x")
	w.Below("id", "")
	q := "SELECT id FROM t" + w.String() + " LIMIT " + w.Arg(20)
	if want := "SELECT id FROM t WHERE tier = $1 AND at >= $2 AND at < $3 AND ended_at IS NULL AND id < $4 LIMIT $5"; q != want {
		t.Errorf("got  %s\nwant %s", q, want)
	}
	if diff := cmp.Diff([]any{"pro", 1, 2, "x", 20}, w.Args()); diff != "" {
		t.Error(diff)
	}
}

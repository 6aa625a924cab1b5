package usage

import (
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

// Query is a statement with arguments.
type Query struct {
	Text string
	Args []any
}

// Queries are those that the statistics are made of.
func Queries(from, until int64) map[string]Query {
	return map[string]Query{
		"summed": {summed, []any{"usr_ada", from, until, "model"}},
		"fresh":  {fresh, []any{"usr_ada", from, until, "model"}},
		"build":  {build, []any{from, until, id.First("call", time.UnixMicro(from)), id.First("call", time.UnixMicro(until))}},
		"drop":   {drop, []any{from, until}},
	}
}

// Look bounds at how many records a page with a filter looks.
func (s *Service) Look(at int) { s.looks = at }

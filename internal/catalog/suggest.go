package catalog

import (
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/similar"
)

const (
	maxSuggestions = 3
	maxTyped       = 100 // characters of a name that are compared
)

// unknown returns ErrNotFound with the names that are nearest to what was
// asked for.
func (s *snapshot) unknown(asked string) *fault.Error {
	type near struct {
		id       string
		distance int
	}
	asked = strings.ToLower(asked[:min(len(asked), maxTyped)])
	var found []near
	for _, m := range s.listed() {
		d := similar.Distance(asked, m.ID)
		if d <= max(2, len(asked)/3) || len(asked) >= 3 && strings.Contains(m.ID, asked) {
			found = append(found, near{m.ID, d})
		}
	}
	if len(found) == 0 {
		return ErrNotFound
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.distance - b.distance })
	var names []string
	for _, n := range found[:min(len(found), maxSuggestions)] {
		names = append(names, n.id)
	}
	return ErrNotFound.Saying("There is no model of this name. Similar names: %s. GET /v1/models lists all.", strings.Join(names, ", ")).
		With("suggestions", names)
}

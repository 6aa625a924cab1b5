package catalog

import (
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
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
		d := distance(asked, m.ID)
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

// distance is the number of characters to insert, delete or replace to get
// from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

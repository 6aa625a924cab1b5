package config

import (
	"fmt"
	"strings"

	"github.com/rephlo/rephlo/internal/similar"
)

// Mistake is one thing that is wrong with the settings.
type Mistake struct {
	Where   string // "rephlo.env:3:12", "REPHLO_API_ADDR in the environment", "--api-addr"
	Problem string // what is wrong and what to write instead; never the value of a secret
}

func (m Mistake) String() string { return m.Where + ": " + m.Problem }

// Mistakes is the error of Load: everything that is wrong, in one run.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, 0, len(m))
	for _, mistake := range m {
		lines = append(lines, mistake.String())
	}
	return strings.Join(lines, "\n")
}

func (m *Mistakes) add(where, format string, args ...any) {
	*m = append(*m, Mistake{Where: where, Problem: fmt.Sprintf(format, args...)})
}

// Nearest returns the candidate that name is most likely a typo of, or "".
func Nearest(name string, candidates []string) string {
	best, found := "", 1+max(2, len(name)/4)
	for _, c := range candidates {
		if d := similar.Distance(name, c); d < found {
			best, found = c, d
		}
	}
	return best
}

// didYouMean ends a sentence about an unknown name.
func didYouMean(name string, candidates []string) string {
	if n := Nearest(name, candidates); n != "" {
		return "; did you mean " + n + "?"
	}
	return "; docs/configuration.md lists all names"
}

package similar_test

import (
	"testing"

	"github.com/rephlo/rephlo/internal/similar"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"serve", "serve", 0}, {"serv", "serve", 1}, {"sreve", "serve", 2}, {"kitten", "sitting", 3},
	} {
		if got := similar.Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := similar.Distance(tt.b, tt.a); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

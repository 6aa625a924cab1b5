package app

import (
	"testing"

	"github.com/rephlo/rephlo/internal/health"
)

func TestANearlyFullDiskIsDegraded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		free, all uint64
		want      health.State
	}{{0, 0, health.OK}, {100, 100, health.OK}, {11, 100, health.OK}, {10, 100, health.Degraded}, {0, 100, health.Degraded}} {
		if got, reason := fullness(tt.free, tt.all); got != tt.want || (reason == "") != (tt.want == health.OK) {
			t.Errorf("%d of %d free: %s %q, want %s", tt.free, tt.all, got, reason, tt.want)
		}
	}
	if got, reason := diskState(t.TempDir() + "/none")(t.Context()); got != health.Degraded || reason == "" {
		t.Errorf("a folder that is not there: %s %q", got, reason)
	}
}

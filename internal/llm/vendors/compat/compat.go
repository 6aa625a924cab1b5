package compat

import (
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
)

// Vendor forwards chat completions to the base URL of its target, with a
// bearer credential if the target has a key.
type Vendor struct{ *openai.Vendor }

var _ llm.Vendor = Vendor{}

// New returns the vendor. A target without a base URL is a failure.
func New(client *egress.Client, now func() time.Time) Vendor {
	return Vendor{openai.NewAt("", client, now)}
}

package usage

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
)

// Export implements personal.Part.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, s.store.db, p, to,
		personal.Table{Name: "usage", Query: `SELECT id, request_id, key_id, client_id, model_id, provider, operation, status, ending, stream AS stream_flag, input, cache_read, cache_write, cache_write_long,
			image_input, audio_input, output, reasoning, audio_output, image_output, images, audio_seconds, characters, server_tool_calls, requests,
			charged AS charged_credits, duration_ms, first_token_ms, at AS created_at FROM usage_record WHERE user_id = $1 ORDER BY at, id`},
	)
}

// Erase implements personal.Part. It stays without a name: the ledger is proved by it,
// and nothing of what was asked or answered is in it.
func (*Service) Erase(context.Context, personal.Person) error {
	return nil
}

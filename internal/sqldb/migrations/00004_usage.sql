-- +goose Up
CREATE TABLE usage_record (                      -- one model call; written once, never changed
    id TEXT PRIMARY KEY,                         -- call_…, the ledger's reference of the call
    request_id TEXT NOT NULL,                    -- may come from the caller, so it is not unique
    user_id TEXT NOT NULL, key_id TEXT NOT NULL, client_id TEXT NOT NULL,      -- key and client: '' when there is none
    model_id TEXT NOT NULL, vendor_model TEXT NOT NULL, provider TEXT NOT NULL,
    operation TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('success', 'failed', 'cancelled')),
    ending TEXT NOT NULL, stream BOOLEAN NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('reported', 'partial', 'estimated', 'none')),       -- where the counts come from
    suspect BOOLEAN NOT NULL,                    -- the vendor's counts were impossible and were clamped
    input BIGINT NOT NULL, cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL, cache_write_long BIGINT NOT NULL,
    image_input BIGINT NOT NULL, audio_input BIGINT NOT NULL,
    output BIGINT NOT NULL, reasoning BIGINT NOT NULL, audio_output BIGINT NOT NULL, image_output BIGINT NOT NULL,
    charged BIGINT NOT NULL CHECK (charged >= 0),                              -- µcr
    cost_pico BIGINT NOT NULL CHECK (cost_pico >= 0),                          -- what the vendor asks, in pico-dollars
    pricing TEXT NOT NULL,                       -- JSON: the price row and terms that were fixed at admission
    duration_ms BIGINT NOT NULL, first_token_ms BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX usage_record_user ON usage_record (user_id, at, id);
CREATE INDEX usage_record_request ON usage_record (request_id, user_id);

-- +goose Up
-- SQLite builds the list of an IN with more than two words anew for every row
-- that it checks, which cost more than writing the row. The same rules are told
-- here as comparisons, the words that come most often first. SQLite cannot
-- change a rule, so the tables are copied.

CREATE TABLE credit_transfer_next (              -- append-only; seq without gaps within a lane
    lane BIGINT NOT NULL, seq BIGINT NOT NULL CHECK (seq > 0),
    kind TEXT NOT NULL CHECK (kind = 'hold' OR kind = 'charge' OR kind = 'release' OR kind = 'grant' OR kind = 'expire'
        OR kind = 'rollover_out' OR kind = 'rollover_in' OR kind = 'adjust' OR kind = 'clawback' OR kind = 'reversal'),
    user_id TEXT NOT NULL, grant_id BIGINT NOT NULL, amount BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000),
    ref TEXT NOT NULL, part BIGINT NOT NULL CHECK (part >= 0),   -- i-th part of a hold: 2i, its ending: 2i + 1
    cause TEXT NOT NULL, actor TEXT NOT NULL, at BIGINT NOT NULL,              -- cause: a word, the ending or a reason code
    PRIMARY KEY (lane, seq), UNIQUE (ref, part),
    CHECK (kind <> 'hold' OR part % 2 = 0), CHECK (kind NOT IN ('charge', 'release') OR part % 2 = 1)
);
INSERT INTO credit_transfer_next (lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at)
    SELECT lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at FROM credit_transfer;
DROP TABLE credit_transfer;
ALTER TABLE credit_transfer_next RENAME TO credit_transfer;
CREATE INDEX credit_transfer_user ON credit_transfer (user_id, at, lane, seq) WHERE kind <> 'hold';
-- +goose StatementBegin
CREATE TRIGGER credit_transfer_no_update BEFORE UPDATE ON credit_transfer BEGIN
    SELECT RAISE(ABORT, 'credit_transfer is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_transfer_no_delete BEFORE DELETE ON credit_transfer BEGIN
    SELECT RAISE(ABORT, 'credit_transfer is append-only');
END;
-- +goose StatementEnd

CREATE TABLE usage_record_next (                 -- one model call; written once, never changed
    id TEXT PRIMARY KEY,                         -- call_…, the ledger's reference of the call
    request_id TEXT NOT NULL,                    -- may come from the caller, so it is not unique
    user_id TEXT NOT NULL, key_id TEXT NOT NULL, client_id TEXT NOT NULL,      -- key and client: '' when there is none
    model_id TEXT NOT NULL, vendor_model TEXT NOT NULL, provider TEXT NOT NULL,
    operation TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status = 'success' OR status = 'failed' OR status = 'cancelled'),
    ending TEXT NOT NULL, stream BOOLEAN NOT NULL,
    source TEXT NOT NULL CHECK (source = 'reported' OR source = 'partial' OR source = 'estimated' OR source = 'none'), -- of the counts
    suspect BOOLEAN NOT NULL,                    -- the vendor's counts were impossible and were clamped
    input BIGINT NOT NULL, cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL, cache_write_long BIGINT NOT NULL,
    image_input BIGINT NOT NULL, audio_input BIGINT NOT NULL,
    output BIGINT NOT NULL, reasoning BIGINT NOT NULL, audio_output BIGINT NOT NULL, image_output BIGINT NOT NULL,
    charged BIGINT NOT NULL CHECK (charged >= 0),                              -- µcr
    cost_pico BIGINT NOT NULL CHECK (cost_pico >= 0),                          -- what the vendor asks, in pico-dollars
    pricing TEXT NOT NULL,                       -- JSON: the price row and terms that were fixed at admission
    duration_ms BIGINT NOT NULL, first_token_ms BIGINT NOT NULL,
    at BIGINT NOT NULL,
    images BIGINT NOT NULL DEFAULT 0, audio_seconds BIGINT NOT NULL DEFAULT 0, characters BIGINT NOT NULL DEFAULT 0,
    server_tool_calls BIGINT NOT NULL DEFAULT 0, requests BIGINT NOT NULL DEFAULT 0
);
INSERT INTO usage_record_next (id, request_id, user_id, key_id, client_id, model_id, vendor_model, provider, operation, status, ending, stream, source, suspect,
    input, cache_read, cache_write, cache_write_long, image_input, audio_input, output, reasoning, audio_output, image_output,
    charged, cost_pico, pricing, duration_ms, first_token_ms, at, images, audio_seconds, characters, server_tool_calls, requests)
    SELECT id, request_id, user_id, key_id, client_id, model_id, vendor_model, provider, operation, status, ending, stream, source, suspect,
    input, cache_read, cache_write, cache_write_long, image_input, audio_input, output, reasoning, audio_output, image_output,
    charged, cost_pico, pricing, duration_ms, first_token_ms, at, images, audio_seconds, characters, server_tool_calls, requests FROM usage_record;
DROP TABLE usage_record;
ALTER TABLE usage_record_next RENAME TO usage_record;
CREATE INDEX usage_record_user ON usage_record (user_id, at, id);
CREATE INDEX usage_record_request ON usage_record (request_id, user_id);

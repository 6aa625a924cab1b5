-- +goose Up
-- What was asked and answered, of calls whose operator and owner want it kept.
CREATE TABLE capture_call (
    id           TEXT PRIMARY KEY, -- of the call
    request_id   TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    key_id       TEXT NOT NULL,
    model_id     TEXT NOT NULL,
    operation    TEXT NOT NULL,
    request_size BIGINT NOT NULL,  -- bytes, with media
    answer_size  BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    sealed       BYTEA NOT NULL    -- JSON
);
CREATE INDEX capture_call_user ON capture_call (user_id, id);
CREATE INDEX capture_call_at ON capture_call (at);
ALTER TABLE apikey_key ADD COLUMN captured BOOLEAN NOT NULL DEFAULT FALSE;

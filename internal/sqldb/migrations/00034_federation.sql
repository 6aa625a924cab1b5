-- +goose Up
CREATE TABLE federation_identity (
    id           TEXT PRIMARY KEY,
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    provider     TEXT NOT NULL,               -- as the settings call it
    user_id      TEXT NOT NULL,
    email        TEXT NOT NULL,               -- what the provider said; shown, never a key
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX federation_identity_user ON federation_identity (user_id, created_at);
CREATE TABLE federation_attempt (
    hash       BYTEA PRIMARY KEY,             -- of the state, or of the handle of a decision
    stage      TEXT NOT NULL,
    browser    BYTEA NOT NULL,                -- the only one that may go on
    data       BYTEA NOT NULL,                -- sealed
    expires_at BIGINT NOT NULL
);
CREATE INDEX federation_attempt_expires ON federation_attempt (expires_at);

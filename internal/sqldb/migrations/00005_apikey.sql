-- +goose Up
CREATE TABLE apikey_key (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    mode         TEXT NOT NULL CHECK (mode IN ('live', 'test')),
    prefix       TEXT NOT NULL,
    hash         BYTEA NOT NULL UNIQUE,
    scopes       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);
CREATE INDEX apikey_key_user ON apikey_key (user_id, id);

-- One row per user with keys; whoever makes a key locks it, so that counting
-- the keys and adding one cannot be interleaved.
CREATE TABLE apikey_owner (
    user_id    TEXT PRIMARY KEY,
    changed_at BIGINT NOT NULL
);

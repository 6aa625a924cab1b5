-- +goose Up
CREATE TABLE passkey_credential (
    id           TEXT PRIMARY KEY,
    credential   BYTEA NOT NULL UNIQUE,       -- the authenticator's name for it
    user_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    host         TEXT NOT NULL,               -- the relying party that it is bound to
    record       BYTEA NOT NULL,              -- the public key and what came with it, sealed
    sign_count   BIGINT NOT NULL,
    suspect      BOOLEAN NOT NULL,            -- its counter went back: it was copied
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkey_credential_user ON passkey_credential (user_id, created_at);
CREATE TABLE passkey_ceremony (
    hash       BYTEA PRIMARY KEY,             -- of the challenge
    holder     TEXT NOT NULL,                 -- the user, or the hash of the browser, that may answer
    data       TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_ceremony_expires ON passkey_ceremony (expires_at);

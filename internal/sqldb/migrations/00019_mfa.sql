-- +goose Up
CREATE TABLE mfa_totp (
    user_id    TEXT PRIMARY KEY,
    secret     BYTEA NOT NULL,                   -- sealed
    last_step  BIGINT NOT NULL,                  -- the 30 seconds whose code was used last; no earlier one counts
    created_at BIGINT NOT NULL
);
CREATE TABLE mfa_setup (                         -- an authenticator that has not shown a code yet
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    secret     BYTEA NOT NULL,                   -- sealed
    expires_at BIGINT NOT NULL
);
CREATE INDEX mfa_setup_user ON mfa_setup (user_id);
CREATE INDEX mfa_setup_expires ON mfa_setup (expires_at);
CREATE TABLE mfa_recovery (
    user_id  TEXT NOT NULL,
    selector TEXT NOT NULL,                      -- the first two characters of the code
    hash     TEXT NOT NULL,                      -- argon2id of the whole
    used_at  BIGINT,
    PRIMARY KEY (user_id, selector)
);

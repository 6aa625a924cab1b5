-- +goose Up
CREATE TABLE account_user (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL UNIQUE,
    verified      BOOLEAN NOT NULL,
    username      TEXT NOT NULL,
    username_key  TEXT NOT NULL UNIQUE,
    first_name    TEXT NOT NULL,
    last_name     TEXT NOT NULL,
    locale        TEXT NOT NULL,
    password      TEXT NOT NULL,
    password_at   BIGINT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('', 'super_admin')),
    state         TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'banned', 'deleted')),
    state_reason  TEXT NOT NULL,
    state_until   BIGINT,
    terms_at      BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    last_login_at BIGINT
);
CREATE INDEX account_user_role ON account_user (role) WHERE role <> '';
CREATE INDEX account_user_unverified ON account_user (created_at) WHERE NOT verified;

CREATE TABLE account_token (
    hash       BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('verify', 'setup', 'admin')),
    user_id    TEXT NOT NULL,
    email      TEXT NOT NULL,
    back       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX account_token_user ON account_token (user_id, purpose);
CREATE INDEX account_token_expires ON account_token (expires_at);

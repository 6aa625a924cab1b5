-- +goose Up
CREATE TABLE authorize_interaction (
    id         TEXT PRIMARY KEY,
    browser    BYTEA,
    request    TEXT NOT NULL,
    hint       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    signed_in  BOOLEAN NOT NULL,
    consented  BOOLEAN NOT NULL,
    confirmed  BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    done_at    BIGINT
);
CREATE INDEX authorize_interaction_expires ON authorize_interaction (expires_at);

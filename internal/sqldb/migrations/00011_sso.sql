-- +goose Up
CREATE TABLE sso_session (
    id           TEXT PRIMARY KEY,
    hash         BYTEA NOT NULL UNIQUE,
    user_id      TEXT NOT NULL,
    auth_time    BIGINT NOT NULL,
    acr          TEXT NOT NULL,
    amr          TEXT NOT NULL,
    address      TEXT NOT NULL,
    agent        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX sso_session_user ON sso_session (user_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX sso_session_seen ON sso_session (last_seen_at);

CREATE TABLE sso_device (
    hash         BYTEA NOT NULL,
    user_id      TEXT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    PRIMARY KEY (hash, user_id)
);
CREATE INDEX sso_device_seen ON sso_device (last_seen_at);

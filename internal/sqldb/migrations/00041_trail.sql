-- +goose Up
CREATE TABLE trail_event (
    id      TEXT PRIMARY KEY,                 -- made in the order of time
    user_id TEXT NOT NULL,
    kind    TEXT NOT NULL,
    detail  TEXT NOT NULL,                    -- what it was about: a provider, a key; never a secret
    address TEXT NOT NULL,
    agent   TEXT NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX trail_event_user ON trail_event (user_id, id);
CREATE INDEX trail_event_at ON trail_event (at);

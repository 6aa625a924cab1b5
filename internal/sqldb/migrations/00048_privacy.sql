-- +goose Up
CREATE TABLE privacy_export (                    -- what somebody asked to have of what is known about them
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'ready', 'failed')),
    run        TEXT NOT NULL,                    -- the fence of who writes it
    size       BIGINT NOT NULL,                  -- in bytes, when it is ready
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL                   -- when it is deleted; of a waiting one too
);
CREATE UNIQUE INDEX privacy_export_waiting ON privacy_export (user_id) WHERE state = 'waiting';
CREATE INDEX privacy_export_user ON privacy_export (user_id, id);
CREATE INDEX privacy_export_expires ON privacy_export (expires_at);

CREATE TABLE privacy_chunk (                     -- a piece of the file
    export_id TEXT NOT NULL REFERENCES privacy_export (id) ON DELETE CASCADE,
    run       TEXT NOT NULL,
    number    BIGINT NOT NULL,                   -- from 0
    content   BYTEA NOT NULL,                    -- sealed
    PRIMARY KEY (export_id, run, number)
);

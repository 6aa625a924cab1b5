-- +goose Up
CREATE TABLE audit_log (                         -- what was done, each row chained to the one before it
    seq           BIGINT PRIMARY KEY,            -- from 1, without gaps
    at            BIGINT NOT NULL,
    actor         TEXT NOT NULL,                 -- a user's id, '' when nobody was known, or a word for a program
    roles         TEXT NOT NULL,                 -- the actor's, separated by spaces
    action        TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id   TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    reason        TEXT NOT NULL,
    request_id    TEXT NOT NULL,
    ip_tag        TEXT NOT NULL,                 -- finds an address without showing it
    origin        TEXT NOT NULL,                 -- address and client, sealed under the actor's key
    changed       TEXT NOT NULL,                 -- JSON: the fields before and after
    person        TEXT NOT NULL,                 -- whom personal is about
    personal      TEXT NOT NULL,                 -- changed fields that tell who a person is, sealed under their key
    hash          TEXT NOT NULL
);
CREATE INDEX audit_log_at ON audit_log (at, seq);
CREATE INDEX audit_log_actor ON audit_log (actor, seq);
CREATE INDEX audit_log_action ON audit_log (action, seq);
CREATE INDEX audit_log_resource ON audit_log (resource_type, resource_id, seq);
CREATE INDEX audit_log_request ON audit_log (request_id, seq);
CREATE INDEX audit_log_ip ON audit_log (ip_tag, seq);

CREATE TABLE audit_head (                        -- the newest row; writing waits for it
    id   BIGINT PRIMARY KEY CHECK (id = 1),
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

CREATE TABLE audit_person (                      -- a key for each person; without it their fields cannot be read
    user_id TEXT PRIMARY KEY,
    key     TEXT NOT NULL                        -- sealed under the master key
);

-- +goose Up
CREATE TABLE idempotency_key (
    id            TEXT PRIMARY KEY,           -- keyed hash of caller, method, path and the client's key
    request_hash  TEXT NOT NULL,              -- keyed hash of query and body
    attempt       TEXT NOT NULL,              -- the fence of who does the work
    claimed_until BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    answer        BYTEA                       -- sealed; null while the first request runs
);
CREATE INDEX idempotency_key_created ON idempotency_key (created_at, id);

-- +goose Up
CREATE TABLE approval_request (
    id             TEXT PRIMARY KEY,              -- made in the order of time
    operation      TEXT NOT NULL,
    permission     TEXT NOT NULL,                 -- of who asks, and of who decides
    once           TEXT NOT NULL UNIQUE,          -- what names the wish, so that it is asked for once
    target_type    TEXT NOT NULL,
    target_id      TEXT NOT NULL,
    person         TEXT NOT NULL,                 -- whom it is about; they do not decide
    frozen         BYTEA NOT NULL,                -- sealed: the reason and what is asked for
    requested_by   TEXT NOT NULL,
    requested_at   BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'cancelled', 'expired')),
    decided_by     TEXT NOT NULL,
    decided_at     BIGINT,
    outcome        BYTEA                          -- sealed: the note and the result
);
CREATE INDEX approval_request_status ON approval_request (status, id);
CREATE INDEX approval_request_operation ON approval_request (operation, id);
CREATE INDEX approval_request_due ON approval_request (expires_at) WHERE status = 'pending';

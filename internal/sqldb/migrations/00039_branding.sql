-- +goose Up
CREATE TABLE branding_version (
    id                TEXT PRIMARY KEY,
    version           TEXT NOT NULL UNIQUE,
    channel           TEXT NOT NULL CHECK (channel IN ('stable', 'beta')),
    notes             TEXT NOT NULL,
    minimum_supported TEXT NOT NULL,
    files             TEXT NOT NULL,          -- JSON
    state             TEXT NOT NULL CHECK (state IN ('draft', 'published', 'withdrawn')),
    created_at        BIGINT NOT NULL,
    published_at      BIGINT,
    withdrawn_at      BIGINT,
    changes           BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE branding_download (
    day       TEXT NOT NULL,                  -- YYYY-MM-DD, UTC
    os        TEXT NOT NULL,
    version   TEXT NOT NULL,
    downloads BIGINT NOT NULL,
    visitors  BIGINT NOT NULL,
    PRIMARY KEY (day, os, version)
);
CREATE TABLE branding_visitor (
    day     TEXT NOT NULL,
    os      TEXT NOT NULL,
    version TEXT NOT NULL,
    visitor TEXT NOT NULL,                    -- keyed hash of the address
    PRIMARY KEY (day, os, version, visitor)
);
CREATE TABLE branding_month (
    month  TEXT PRIMARY KEY,                  -- YYYY-MM
    secret BYTEA NOT NULL                     -- sealed; forgotten after the month
);
CREATE TABLE branding_feedback (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,                 -- empty: nobody was signed in
    message    TEXT NOT NULL,
    email      TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('new', 'read', 'done')),
    created_at BIGINT NOT NULL,
    replied_at BIGINT
);
CREATE INDEX branding_feedback_status ON branding_feedback (status, id);
CREATE TABLE branding_diagnostic (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    note       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    size       BIGINT NOT NULL,
    sha256     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX branding_diagnostic_expires ON branding_diagnostic (expires_at, id);
CREATE TABLE branding_file (
    diagnostic_id TEXT PRIMARY KEY,
    content       BYTEA NOT NULL              -- sealed
);

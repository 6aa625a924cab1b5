-- +goose Up
CREATE TABLE setting_version (
    category   TEXT NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    settings   TEXT NOT NULL,                 -- JSON; secrets are sealed in it
    changed_by TEXT NOT NULL,
    reason     TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (category, version)
);

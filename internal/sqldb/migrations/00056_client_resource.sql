-- +goose Up
CREATE TABLE client_resource (
    id         TEXT PRIMARY KEY, -- the audience of its tokens
    name       TEXT NOT NULL,
    settings   TEXT NOT NULL, -- JSON
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
-- What one resource has alone: its scopes ("scope read") and the addresses that
-- name it ("uri https://api.example").
CREATE TABLE client_resource_claim (
    name        TEXT PRIMARY KEY,
    resource_id TEXT NOT NULL REFERENCES client_resource (id) ON DELETE CASCADE
);
CREATE INDEX client_resource_claim_resource ON client_resource_claim (resource_id);

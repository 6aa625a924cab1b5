-- +goose Up
-- Of clients that registered themselves: the hash of the token that changes
-- them ('' for all others), and the day they last got a token (0: never).
ALTER TABLE client_client ADD COLUMN registration TEXT NOT NULL DEFAULT '';
ALTER TABLE client_client ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX client_client_unused ON client_client (used_at, created_at) WHERE registration <> '';

-- +goose Up
-- Keys that are not simply in use, for the list of everybody's.
CREATE INDEX apikey_key_revoked ON apikey_key (id) WHERE revoked_at IS NOT NULL;
CREATE INDEX apikey_key_paused ON apikey_key (id) WHERE paused_at IS NOT NULL;
CREATE INDEX apikey_key_expiring ON apikey_key (id) WHERE expires_at IS NOT NULL;

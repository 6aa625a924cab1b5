-- +goose Up
-- Whole answers are kept for a while where the operator allows it for the model
-- and the owner wants it for the key.
ALTER TABLE catalog_model ADD COLUMN cache_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE apikey_key ADD COLUMN cached BOOLEAN NOT NULL DEFAULT FALSE;

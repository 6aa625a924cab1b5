-- +goose Up
-- The settings that an administrator changed, as a JSON array of their names:
-- the next start of a newer program does not take them back.
ALTER TABLE client_client ADD COLUMN edited TEXT NOT NULL DEFAULT '[]';

-- +goose Up
-- What the user has proved of two factors, and when: it counts in this interaction only, and is no session.
ALTER TABLE authorize_interaction ADD COLUMN proved TEXT NOT NULL DEFAULT '';
ALTER TABLE authorize_interaction ADD COLUMN proved_at BIGINT;

-- +goose Up
-- Whose request it is, and the hash of the request_uri of a pushed request (RFC 9126); empty for others.
ALTER TABLE authorize_interaction ADD COLUMN client_id TEXT NOT NULL DEFAULT '';
ALTER TABLE authorize_interaction ADD COLUMN pushed TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX authorize_interaction_pushed ON authorize_interaction (pushed) WHERE pushed <> '';

-- +goose Up
ALTER TABLE apikey_key ADD COLUMN models TEXT NOT NULL DEFAULT '';   -- ids of the models it may call, separated by blanks; empty: all
ALTER TABLE apikey_key ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'; -- JSON
ALTER TABLE apikey_key ADD COLUMN paused_at BIGINT;

-- +goose Up
ALTER TABLE subscription_plan ADD COLUMN paused_at BIGINT NOT NULL DEFAULT 0; -- collection is paused since then; 0: it is not

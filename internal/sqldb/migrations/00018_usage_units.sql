-- +goose Up
-- What a call used that is not counted in tokens.
ALTER TABLE usage_record ADD COLUMN images BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN audio_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN characters BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN server_tool_calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN requests BIGINT NOT NULL DEFAULT 0;

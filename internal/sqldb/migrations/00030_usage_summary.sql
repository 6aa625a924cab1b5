-- +goose Up
CREATE TABLE usage_summary (                     -- records of a quarter of an hour, added up; rebuilt from usage_record, never changed
    user_id TEXT NOT NULL,
    bucket BIGINT NOT NULL,                      -- when the quarter begins
    model_id TEXT NOT NULL, operation TEXT NOT NULL, key_id TEXT NOT NULL, client_id TEXT NOT NULL,
    requests BIGINT NOT NULL, charged BIGINT NOT NULL,
    input BIGINT NOT NULL, cached BIGINT NOT NULL, output BIGINT NOT NULL, reasoning BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    PRIMARY KEY (user_id, bucket, model_id, operation, key_id, client_id)
);
CREATE INDEX usage_summary_bucket ON usage_summary (bucket);

CREATE TABLE usage_summary_mark (                -- everything before it is in usage_summary
    name TEXT PRIMARY KEY,
    built_until BIGINT NOT NULL
);

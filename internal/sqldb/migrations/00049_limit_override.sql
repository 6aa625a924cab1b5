-- +goose Up
CREATE TABLE limit_override (                    -- limits of one person in place of those of the tier; NULL: the tier's
    user_id             TEXT PRIMARY KEY,
    requests_per_minute BIGINT CHECK (requests_per_minute > 0),
    tokens_per_minute   BIGINT CHECK (tokens_per_minute > 0),
    concurrent_requests BIGINT CHECK (concurrent_requests > 0),
    credits_per_day     BIGINT CHECK (credits_per_day > 0),        -- µcr
    reason              TEXT NOT NULL,
    created_by          TEXT NOT NULL,
    created_at          BIGINT NOT NULL,
    expires_at          BIGINT
);
CREATE INDEX limit_override_due ON limit_override (expires_at) WHERE expires_at IS NOT NULL;

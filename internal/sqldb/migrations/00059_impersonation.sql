-- +goose Up
CREATE TABLE impersonation (                     -- an administrator who may read as somebody for a while
    id TEXT PRIMARY KEY,                         -- imp_…, the authorization of its tokens
    user_id TEXT NOT NULL, admin_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,                  -- when it was approved
    started_at BIGINT,                           -- when the first token was taken
    ends_at BIGINT NOT NULL                      -- of the right to begin, and from then on of the reading
);
CREATE INDEX impersonation_user ON impersonation (user_id, id);

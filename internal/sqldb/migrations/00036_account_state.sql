-- +goose Up
CREATE TABLE account_state (                     -- how an account got into its state
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    until      BIGINT,
    lifted_at  BIGINT,
    lifted_by  TEXT NOT NULL
);
CREATE INDEX account_state_user ON account_state (user_id, id);
CREATE INDEX account_user_suspended ON account_user (state_until) WHERE state = 'suspended' AND state_until IS NOT NULL;
CREATE INDEX account_user_created ON account_user (created_at, id);
CREATE INDEX account_user_login ON account_user (COALESCE(last_login_at, 0), id);

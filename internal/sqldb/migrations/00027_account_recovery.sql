-- +goose Up
-- Sign-ins before signed_out_at are void; a plain change of the password does not move it.
ALTER TABLE account_user ADD COLUMN signed_out_at BIGINT;
UPDATE account_user SET signed_out_at = password_at;

-- Links have more purposes than the check of the first table allowed.
CREATE TABLE account_link (
    hash       BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    email      TEXT NOT NULL,
    back       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
INSERT INTO account_link (hash, purpose, user_id, email, back, created_at, expires_at, used_at)
    SELECT hash, purpose, user_id, email, back, created_at, expires_at, used_at FROM account_token;
DROP TABLE account_token;
ALTER TABLE account_link RENAME TO account_token;
CREATE INDEX account_token_user ON account_token (user_id, purpose);
CREATE INDEX account_token_expires ON account_token (expires_at);

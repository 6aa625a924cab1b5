-- +goose Up
-- "Keep me signed in", said at the sign-in and carried over the second factor.
ALTER TABLE authorize_interaction ADD COLUMN keep BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE sso_session ADD COLUMN keep BOOLEAN NOT NULL DEFAULT FALSE;
-- The trusted device in whose place no second factor was asked for; '' for none.
ALTER TABLE sso_session ADD COLUMN trust TEXT NOT NULL DEFAULT '';
CREATE TABLE sso_trusted (
	id         TEXT PRIMARY KEY,
	hash       BYTEA NOT NULL, -- of the cookie
	user_id    TEXT NOT NULL,
	address    TEXT NOT NULL,
	agent      TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	used_at    BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	UNIQUE (hash, user_id)
);
CREATE INDEX sso_trusted_user ON sso_trusted (user_id, created_at);

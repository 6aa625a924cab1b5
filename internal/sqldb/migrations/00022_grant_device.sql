-- +goose Up
-- Programs without a browser that wait to be allowed (RFC 8628). Of both codes
-- only a hash is stored, of the short one with a key.
CREATE TABLE grant_device (
	hash             TEXT PRIMARY KEY,
	user_code        TEXT NOT NULL UNIQUE,
	client_id        TEXT NOT NULL,
	scopes           TEXT NOT NULL,
	resources        TEXT NOT NULL,
	address          TEXT NOT NULL,
	agent            TEXT NOT NULL,
	state            TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used')),
	pause            BIGINT NOT NULL,
	polled_at        BIGINT NOT NULL,
	created_at       BIGINT NOT NULL,
	expires_at       BIGINT NOT NULL,
	authorization_id TEXT NOT NULL DEFAULT '',
	user_id          TEXT NOT NULL DEFAULT '',
	session_id       TEXT NOT NULL DEFAULT '',
	granted          TEXT NOT NULL DEFAULT '',
	auth_time        BIGINT NOT NULL DEFAULT 0,
	acr              TEXT NOT NULL DEFAULT '',
	amr              TEXT NOT NULL DEFAULT '',
	approved_at      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX grant_device_expires ON grant_device (expires_at);

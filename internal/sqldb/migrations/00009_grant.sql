-- +goose Up
CREATE TABLE grant_code (
	hash             TEXT PRIMARY KEY,
	authorization_id TEXT NOT NULL,
	client_id        TEXT NOT NULL,
	user_id          TEXT NOT NULL,
	session_id       TEXT NOT NULL,
	redirect_uri     TEXT NOT NULL,
	challenge        TEXT NOT NULL,
	nonce            TEXT NOT NULL,
	scopes           TEXT NOT NULL,
	resources        TEXT NOT NULL,
	auth_time        BIGINT NOT NULL,
	acr              TEXT NOT NULL,
	amr              TEXT NOT NULL,
	issued_at        BIGINT NOT NULL,
	expires_at       BIGINT NOT NULL,
	used_at          BIGINT
);
CREATE INDEX grant_code_issued ON grant_code (issued_at);

CREATE TABLE grant_family (
	id               TEXT PRIMARY KEY,
	authorization_id TEXT NOT NULL,
	client_id        TEXT NOT NULL,
	user_id          TEXT NOT NULL,
	session_id       TEXT NOT NULL,
	bound            BOOLEAN NOT NULL,
	scopes           TEXT NOT NULL,
	resources        TEXT NOT NULL,
	auth_time        BIGINT NOT NULL,
	acr              TEXT NOT NULL,
	amr              TEXT NOT NULL,
	generation       BIGINT NOT NULL CHECK (generation >= 1),
	current_hash     TEXT NOT NULL,
	issued_at        BIGINT NOT NULL,
	used_at          BIGINT NOT NULL,
	expires_at       BIGINT NOT NULL,
	revoked_at       BIGINT
);
CREATE INDEX grant_family_user ON grant_family (user_id, client_id);
CREATE INDEX grant_family_client ON grant_family (client_id);
CREATE INDEX grant_family_authorization ON grant_family (authorization_id);
CREATE INDEX grant_family_session ON grant_family (session_id) WHERE bound;
CREATE INDEX grant_family_expires ON grant_family (expires_at);

CREATE TABLE grant_rotation (
	family_id  TEXT NOT NULL REFERENCES grant_family (id) ON DELETE CASCADE,
	generation BIGINT NOT NULL,
	hash       TEXT NOT NULL,
	successor  BYTEA NOT NULL,
	used_at    BIGINT NOT NULL,
	PRIMARY KEY (family_id, generation)
);
CREATE INDEX grant_rotation_used ON grant_rotation (used_at);

CREATE TABLE grant_consent (
	user_id    TEXT NOT NULL,
	client_id  TEXT NOT NULL,
	scopes     TEXT NOT NULL,
	resources  TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, client_id)
);

CREATE TABLE grant_revocation (
	kind          TEXT NOT NULL CHECK (kind IN ('instance', 'user', 'client', 'consent', 'session', 'authorization', 'token')),
	subject       TEXT NOT NULL,
	not_before_ms BIGINT NOT NULL,
	until         BIGINT NOT NULL,
	written_at    BIGINT NOT NULL,
	PRIMARY KEY (kind, subject)
);
CREATE INDEX grant_revocation_written ON grant_revocation (written_at);
CREATE INDEX grant_revocation_until ON grant_revocation (until);

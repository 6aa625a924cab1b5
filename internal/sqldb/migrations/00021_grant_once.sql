-- +goose Up
-- What may be presented once: ids of client assertions, proofs and signed
-- requests, as hashes of their kind and value.
CREATE TABLE grant_once (
	hash  TEXT PRIMARY KEY,
	until BIGINT NOT NULL
);
CREATE INDEX grant_once_until ON grant_once (until);

-- The key that a code or a public client's refresh token is bound to (RFC
-- 9449), as its thumbprint; '' is none.
ALTER TABLE grant_code ADD COLUMN jkt TEXT NOT NULL DEFAULT '';
ALTER TABLE grant_family ADD COLUMN jkt TEXT NOT NULL DEFAULT '';

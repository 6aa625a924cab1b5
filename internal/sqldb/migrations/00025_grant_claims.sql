-- +goose Up
-- Claims that ID tokens have besides the usual ones, separated by spaces.
ALTER TABLE grant_code ADD COLUMN claims TEXT NOT NULL DEFAULT '';
ALTER TABLE grant_family ADD COLUMN claims TEXT NOT NULL DEFAULT '';

-- The clients that got tokens in a browser session, which are told when it ends.
CREATE TABLE grant_login (
	session_id TEXT NOT NULL,
	client_id  TEXT NOT NULL,
	user_id    TEXT NOT NULL,
	at         BIGINT NOT NULL,
	PRIMARY KEY (session_id, client_id)
);
CREATE INDEX grant_login_at ON grant_login (at);

-- +goose Up
CREATE TABLE client_client (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	settings   TEXT NOT NULL,
	secrets    TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

-- +goose Up
CREATE TABLE keys_key (
	kid          TEXT PRIMARY KEY,
	alg          TEXT NOT NULL,
	generation   BIGINT NOT NULL,
	public       BYTEA NOT NULL,
	private      BYTEA,
	published_at BIGINT NOT NULL,
	active_from  BIGINT NOT NULL,
	retire_at    BIGINT NOT NULL,
	remove_at    BIGINT NOT NULL,
	UNIQUE (alg, generation)
);

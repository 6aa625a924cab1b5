-- +goose Up
CREATE TABLE system_node (                       -- the processes that serve, or served within a day
    name       TEXT PRIMARY KEY,
    version    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);

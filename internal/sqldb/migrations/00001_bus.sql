-- +goose Up
CREATE TABLE bus_message (
    id      TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX bus_message_at ON bus_message (at);

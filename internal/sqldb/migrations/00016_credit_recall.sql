-- +goose Up
CREATE TABLE credit_recall (                     -- whose leases should go home: a hint that is lost without harm
    user_id TEXT PRIMARY KEY, no BIGINT NOT NULL, need BIGINT NOT NULL,        -- need: 0 when there is only something new to see
    node TEXT NOT NULL                           -- the process that asks
);

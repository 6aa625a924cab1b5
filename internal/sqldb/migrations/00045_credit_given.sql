-- +goose Up
CREATE TABLE credit_given (                      -- what administrators gave away by themselves
    actor  TEXT NOT NULL,
    day    BIGINT NOT NULL,                      -- UTC, since 1970
    amount BIGINT NOT NULL CHECK (amount > 0),   -- µcr
    PRIMARY KEY (actor, day)
);

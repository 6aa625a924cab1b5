-- +goose Up
CREATE TABLE pack_item (                         -- credits that can be had at once; never deleted
    id         TEXT PRIMARY KEY,
    credits    BIGINT NOT NULL CHECK (credits > 0),   -- µcr, whole credits
    price      BIGINT NOT NULL CHECK (price > 0),     -- minor units
    active     BOOLEAN NOT NULL,                      -- it can be bought
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
INSERT INTO pack_item (id, credits, price, active, version, updated_at) VALUES
    ('pack_500', 500000000, 500, TRUE, 1, 0),
    ('pack_2000', 2000000000, 2000, TRUE, 1, 0),
    ('pack_10000', 10000000000, 10000, TRUE, 1, 0);

-- +goose Up
-- By how much vendors' prices are multiplied for whom.
CREATE TABLE margin_rule (
    id              TEXT PRIMARY KEY,
    tier            TEXT NOT NULL, -- '' for any, as provider and model
    provider        TEXT NOT NULL,
    model           TEXT NOT NULL,
    multiplier_bp   BIGINT NOT NULL CHECK (multiplier_bp BETWEEN 1 AND 100000),
    effective_from  BIGINT NOT NULL,
    effective_until BIGINT,
    reason          TEXT NOT NULL,
    author          TEXT NOT NULL,
    at              BIGINT NOT NULL,
    CHECK (provider = '' OR model = ''),
    CHECK (tier <> '' OR provider <> '' OR model <> '')
);

-- +goose Up
CREATE TABLE catalog_provider (
    name          TEXT PRIMARY KEY,
    vendor        TEXT NOT NULL,
    base_url      TEXT NOT NULL,
    sealed_key    BYTEA,
    options       TEXT NOT NULL,
    allow_private BOOLEAN NOT NULL,
    enabled       BOOLEAN NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE catalog_model (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('draft', 'active', 'legacy', 'archived')),
    context_length BIGINT NOT NULL CHECK (context_length >= 0),
    max_output     BIGINT NOT NULL CHECK (max_output > 0),
    capabilities   TEXT NOT NULL,
    access         TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);

CREATE TABLE catalog_route (
    model_id     TEXT NOT NULL REFERENCES catalog_model (id),
    provider     TEXT NOT NULL REFERENCES catalog_provider (name),
    vendor_model TEXT NOT NULL,
    priority     BIGINT NOT NULL,
    weight       BIGINT NOT NULL CHECK (weight > 0),
    PRIMARY KEY (model_id, provider, vendor_model)
);

-- A price is never changed: a new one closes the row before it.
CREATE TABLE catalog_price (
    provider        TEXT NOT NULL REFERENCES catalog_provider (name),
    vendor_model    TEXT NOT NULL,
    effective_from  BIGINT NOT NULL,
    effective_until BIGINT CHECK (effective_until > effective_from),
    prices          TEXT NOT NULL,
    source          TEXT NOT NULL,
    PRIMARY KEY (provider, vendor_model, effective_from)
);
CREATE UNIQUE INDEX catalog_price_open ON catalog_price (provider, vendor_model) WHERE effective_until IS NULL;

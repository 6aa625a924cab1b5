-- +goose Up
-- One row: whoever writes to the catalogue changes it first, so that writers
-- come one after the other.
CREATE TABLE catalog_version (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);
INSERT INTO catalog_version (one, version) VALUES (1, 0);

ALTER TABLE catalog_provider ADD COLUMN origin TEXT NOT NULL DEFAULT 'configuration' CHECK (origin IN ('configuration', 'admin'));
ALTER TABLE catalog_provider ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_provider ADD COLUMN timeouts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE catalog_provider ADD COLUMN draining BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE catalog_provider ADD COLUMN removed_at BIGINT;
ALTER TABLE catalog_provider ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
-- The configuration seals its keys again at the next start.
ALTER TABLE catalog_provider DROP COLUMN sealed_key;

CREATE TABLE catalog_key (
    id         TEXT PRIMARY KEY,
    provider   TEXT NOT NULL REFERENCES catalog_provider (name),
    origin     TEXT NOT NULL CHECK (origin IN ('configuration', 'admin')),
    label      TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    hint       TEXT NOT NULL, -- the last four characters
    weight     BIGINT NOT NULL CHECK (weight > 0),
    state      TEXT NOT NULL CHECK (state IN ('active', 'draining', 'disabled')),
    reason     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX catalog_key_provider ON catalog_key (provider);

ALTER TABLE catalog_model ADD COLUMN origin TEXT NOT NULL DEFAULT 'configuration' CHECK (origin IN ('configuration', 'admin'));
ALTER TABLE catalog_model ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_model ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}'; -- JSON: constraints by parameter
ALTER TABLE catalog_model ADD COLUMN replacement TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_model ADD COLUMN notice TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_model ADD COLUMN deprecated_at BIGINT;
ALTER TABLE catalog_model ADD COLUMN sunset_at BIGINT;
ALTER TABLE catalog_model ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

CREATE TABLE catalog_alias (
    alias    TEXT PRIMARY KEY,
    model_id TEXT NOT NULL REFERENCES catalog_model (id)
);

ALTER TABLE catalog_route ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'; -- JSON: calls, tokens, at once

-- A row of an administrator or an import carries who wrote it; rows of the
-- configuration do not replace it.
ALTER TABLE catalog_price ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_price ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_price ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_price ADD COLUMN verified_at BIGINT NOT NULL DEFAULT 0;
UPDATE catalog_price SET verified_at = effective_from, id = 'price_' || (
    SELECT COUNT(*) FROM catalog_price p
    WHERE (p.provider, p.vendor_model, p.effective_from) <= (catalog_price.provider, catalog_price.vendor_model, catalog_price.effective_from));
CREATE UNIQUE INDEX catalog_price_id ON catalog_price (id);

-- Who changed what, from what to what. Rows are only added.
CREATE TABLE catalog_history (
    id      TEXT PRIMARY KEY,
    kind    TEXT NOT NULL, -- provider, key, model, access, parameters, price
    subject TEXT NOT NULL,
    action  TEXT NOT NULL,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    before  TEXT NOT NULL, -- JSON, without secrets
    after   TEXT NOT NULL
);
CREATE INDEX catalog_history_subject ON catalog_history (kind, subject, id);

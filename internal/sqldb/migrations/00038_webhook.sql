-- +goose Up
CREATE TABLE webhook_owner (
    user_id    TEXT PRIMARY KEY,              -- locked while one changes their endpoints
    touched_at BIGINT NOT NULL
);
CREATE TABLE webhook_endpoint (
    id              TEXT PRIMARY KEY,
    user_id         TEXT NOT NULL,
    url             TEXT NOT NULL,
    description     TEXT NOT NULL,
    events          TEXT NOT NULL,            -- types with a space between, or *
    enabled         BOOLEAN NOT NULL,
    disabled_reason TEXT NOT NULL,            -- empty while enabled
    failing_since   BIGINT,                   -- the first failure after the last success
    last_success_at BIGINT,
    created_at      BIGINT NOT NULL,
    secret          BYTEA NOT NULL,           -- sealed
    old_secret      BYTEA,                    -- sealed; signs too until old_until
    old_until       BIGINT
);
CREATE INDEX webhook_endpoint_user ON webhook_endpoint (user_id, created_at);
CREATE TABLE webhook_event (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    type       TEXT NOT NULL,
    body       TEXT NOT NULL,                 -- JSON, as it is sent
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_event_created ON webhook_event (created_at, id);
CREATE TABLE webhook_delivery (
    id            TEXT PRIMARY KEY,
    event_id      TEXT NOT NULL,
    endpoint_id   TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    type          TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'succeeded', 'failed')),
    due_at        BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    tries         BIGINT NOT NULL DEFAULT 0,  -- since it began or was replayed
    claim         TEXT NOT NULL DEFAULT '',   -- the fence of who sends it
    claimed_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_delivery_late ON webhook_delivery (due_at) WHERE state = 'waiting';
CREATE INDEX webhook_delivery_claim ON webhook_delivery (claim) WHERE claim <> '';
CREATE INDEX webhook_delivery_endpoint ON webhook_delivery (endpoint_id, id);
CREATE INDEX webhook_delivery_user ON webhook_delivery (user_id, id);
CREATE INDEX webhook_delivery_event ON webhook_delivery (event_id);
CREATE INDEX webhook_delivery_created ON webhook_delivery (created_at, id) WHERE state <> 'waiting';
CREATE TABLE webhook_attempt (
    delivery_id TEXT NOT NULL,
    number      BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    status      BIGINT NOT NULL,              -- 0: no answer
    latency_us  BIGINT NOT NULL,
    response    TEXT NOT NULL,                -- the first 4 KiB, or why there is none
    PRIMARY KEY (delivery_id, number)
);

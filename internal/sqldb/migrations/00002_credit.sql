-- +goose Up
CREATE TABLE credit_lane (                       -- one writer: sequence, chain and fence
    lane BIGINT PRIMARY KEY, node TEXT NOT NULL, epoch BIGINT NOT NULL DEFAULT 1, beat BIGINT NOT NULL DEFAULT 0,
    batch BIGINT NOT NULL DEFAULT 0, seq BIGINT NOT NULL DEFAULT 0, hash BYTEA NOT NULL,       -- its last batch, transfer, hash
    issued BIGINT NOT NULL DEFAULT 0 CHECK (issued >= 0)
);
CREATE TABLE credit_grant (
    id BIGINT PRIMARY KEY, user_id TEXT NOT NULL,                -- id made in Go, rising in time; shown as grt_…
    source TEXT NOT NULL, priority BIGINT NOT NULL, ref TEXT NOT NULL UNIQUE,                  -- ref: what caused it, so it happens once
    granted_at BIGINT NOT NULL, expires_at BIGINT NOT NULL CHECK (expires_at > granted_at),    -- never = 9223372036854775807
    frozen   BIGINT NOT NULL DEFAULT 0 CHECK (frozen BETWEEN 0 AND 3),         -- 1 subscription suspended + 2 dispute
    frozen_at BIGINT NOT NULL DEFAULT 0,
    credited BIGINT NOT NULL DEFAULT 0 CHECK (credited BETWEEN 0 AND 100000000000000000),
    debited  BIGINT NOT NULL DEFAULT 0 CHECK (debited >= 0),                   -- without what open leases spent
    leased   BIGINT NOT NULL DEFAULT 0 CHECK (leased >= 0),
    paid_minor BIGINT NOT NULL DEFAULT 0 CHECK (paid_minor >= 0), currency TEXT NOT NULL DEFAULT '', payment TEXT NOT NULL DEFAULT '',
    CHECK (debited + leased <= credited),
    CHECK (source || priority IN ('rollover1', 'trial2', 'plan3', 'bonus4', 'adjustment5', 'coupon6', 'referral7', 'pack8'))
);
CREATE INDEX credit_grant_burn ON credit_grant (user_id, expires_at, priority, granted_at, id);
CREATE INDEX credit_grant_due ON credit_grant (expires_at) WHERE debited < credited;
CREATE INDEX credit_grant_payment ON credit_grant (payment) WHERE payment <> '';
CREATE TABLE credit_lease (
    lane BIGINT NOT NULL REFERENCES credit_lane (lane), grant_id BIGINT NOT NULL REFERENCES credit_grant (id),
    amount BIGINT NOT NULL CHECK (amount >= 0), held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0),
    spent BIGINT NOT NULL DEFAULT 0 CHECK (spent >= 0),
    PRIMARY KEY (lane, grant_id), CHECK (held + spent <= amount)
);
CREATE INDEX credit_lease_grant ON credit_lease (grant_id);
CREATE TABLE credit_hold (                       -- open holds only
    ref TEXT PRIMARY KEY, lane BIGINT NOT NULL REFERENCES credit_lane (lane), user_id TEXT NOT NULL,      -- ref: the call id
    amount BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000),
    progress BIGINT NOT NULL DEFAULT 0, renewed_at BIGINT NOT NULL,            -- progress: price of what was delivered so far
    journal TEXT NOT NULL,                       -- JSON: price snapshot, counts by class, request id, key, app
    CHECK (progress BETWEEN 0 AND amount)
);
CREATE TABLE credit_transfer (                   -- append-only; seq without gaps within a lane
    lane BIGINT NOT NULL, seq BIGINT NOT NULL CHECK (seq > 0),
    kind TEXT NOT NULL CHECK (kind IN ('grant', 'hold', 'charge', 'release', 'expire', 'rollover_out', 'rollover_in', 'adjust', 'clawback', 'reversal')),
    user_id TEXT NOT NULL, grant_id BIGINT NOT NULL, amount BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000),
    ref TEXT NOT NULL, part BIGINT NOT NULL CHECK (part >= 0),   -- i-th part of a hold: 2i, its ending: 2i + 1
    cause TEXT NOT NULL, actor TEXT NOT NULL, at BIGINT NOT NULL,              -- cause: a word, the ending or a reason code
    PRIMARY KEY (lane, seq), UNIQUE (ref, part),
    CHECK (kind <> 'hold' OR part % 2 = 0), CHECK (kind NOT IN ('charge', 'release') OR part % 2 = 1)
);
CREATE INDEX credit_transfer_user ON credit_transfer (user_id, at, lane, seq) WHERE kind <> 'hold';
CREATE TABLE credit_batch (                      -- append-only
    lane BIGINT NOT NULL REFERENCES credit_lane (lane), batch BIGINT NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,
    prev BYTEA NOT NULL, root BYTEA NOT NULL, hash BYTEA NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (lane, batch), UNIQUE (lane, first_seq), CHECK (first_seq <= last_seq)
);
CREATE TABLE credit_root (                       -- append-only; where all lanes stood at the end of a day, signed
    day BIGINT PRIMARY KEY,                      -- days since 1970-01-01
    heads TEXT NOT NULL,                         -- JSON: the last batch of each lane
    prev BYTEA NOT NULL, root BYTEA NOT NULL, key_id TEXT NOT NULL, signature BYTEA NOT NULL
);
CREATE TABLE credit_root_key (                   -- append-only but for private
    no BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE, public BYTEA NOT NULL,
    signature BYTEA NOT NULL,                    -- by the key before it; the first signs itself
    private BYTEA,                               -- sealed; NULL once there is a successor
    at BIGINT NOT NULL
);
CREATE TABLE credit_uncollected (                -- append-only
    ref TEXT NOT NULL, part BIGINT NOT NULL, user_id TEXT NOT NULL, at BIGINT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('overrun', 'late', 'clawback', 'adjust')),
    amount BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000), PRIMARY KEY (ref, cause, part)
);

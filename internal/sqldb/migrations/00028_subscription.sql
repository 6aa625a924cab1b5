-- +goose Up
CREATE TABLE subscription_plan (                 -- what a user has, or had; 0 is no time
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    tier TEXT NOT NULL,
    cycle TEXT NOT NULL CHECK (cycle IN ('monthly', 'annual')),
    mode TEXT NOT NULL CHECK (mode IN ('free', 'manual', 'vendor')),
    state TEXT NOT NULL CHECK (state IN ('incomplete', 'trial', 'active', 'past_due', 'suspended', 'cancelled', 'expired')),
    anchor BIGINT NOT NULL,                      -- credit cycles are counted from it
    allocated BIGINT NOT NULL CHECK (allocated >= -1),   -- the last cycle that was given its credits
    plan_grant BIGINT NOT NULL,
    period_anchor BIGINT NOT NULL, period_at BIGINT NOT NULL,                  -- months from it to the present period
    paid BIGINT NOT NULL CHECK (paid >= 0),      -- minor units
    trial_end BIGINT NOT NULL, ends_at BIGINT NOT NULL, failed_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    cancel_at_end BOOLEAN NOT NULL,
    next_tier TEXT NOT NULL, next_cycle TEXT NOT NULL,   -- '' is no change
    due_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL, ended_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX subscription_plan_live ON subscription_plan (user_id) WHERE state IN ('trial', 'active', 'past_due', 'suspended');
CREATE INDEX subscription_plan_user ON subscription_plan (user_id, id);
CREATE INDEX subscription_plan_due ON subscription_plan (due_at, id) WHERE due_at > 0;

CREATE TABLE subscription_event (
    id TEXT PRIMARY KEY, subscription_id TEXT NOT NULL, user_id TEXT NOT NULL,
    from_state TEXT NOT NULL, to_state TEXT NOT NULL,
    cause TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX subscription_event_user ON subscription_event (user_id, id);
CREATE INDEX subscription_event_subscription ON subscription_event (subscription_id, id);

CREATE TABLE subscription_allocation (           -- the credits of one cycle are given once
    subscription_id TEXT NOT NULL, cycle BIGINT NOT NULL,
    grant_id BIGINT NOT NULL,                    -- 0: the tier gives none
    amount BIGINT NOT NULL CHECK (amount >= 0),  -- µcr
    at BIGINT NOT NULL,
    PRIMARY KEY (subscription_id, cycle)
);

CREATE TABLE subscription_proration (
    id TEXT PRIMARY KEY, subscription_id TEXT NOT NULL, user_id TEXT NOT NULL,
    from_tier TEXT NOT NULL, from_cycle TEXT NOT NULL, to_tier TEXT NOT NULL, to_cycle TEXT NOT NULL,
    seconds_left BIGINT NOT NULL, seconds_total BIGINT NOT NULL,
    paid BIGINT NOT NULL, price BIGINT NOT NULL,
    credit BIGINT NOT NULL, charge BIGINT NOT NULL, net BIGINT NOT NULL,      -- minor units
    credit_left BIGINT NOT NULL, credit_total BIGINT NOT NULL,                -- seconds of the credit cycle
    extra BIGINT NOT NULL CHECK (extra >= 0),    -- µcr
    renewed BOOLEAN NOT NULL,
    payment TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX subscription_proration_user ON subscription_proration (user_id, id);

CREATE TABLE subscription_balance (              -- money that later invoices use; the sum is never negative
    ref TEXT PRIMARY KEY,                        -- what causes it; it happens once
    user_id TEXT NOT NULL, amount BIGINT NOT NULL, at BIGINT NOT NULL
);
CREATE INDEX subscription_balance_user ON subscription_balance (user_id, at, ref);

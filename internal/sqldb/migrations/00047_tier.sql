-- +goose Up
CREATE TABLE tier_version (                      -- changes of the tiers that the program comes with; append-only but for the last three columns
    tier       TEXT NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    patch      TEXT NOT NULL,                    -- JSON: the fields that it changes
    reason     TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,                  -- not before changed_at
    existing   BOOLEAN NOT NULL,                 -- who has the tier gets the difference in credits from then on
    notify     BOOLEAN NOT NULL,                 -- who pays for the tier is told
    done       BOOLEAN NOT NULL,                 -- nobody is left to be given the difference, or told
    done_to    TEXT NOT NULL,                    -- the last subscription that was
    PRIMARY KEY (tier, version)
);
CREATE INDEX tier_version_open ON tier_version (valid_from) WHERE NOT done;
CREATE INDEX subscription_plan_tier ON subscription_plan (tier, id) WHERE state IN ('trial', 'active', 'past_due', 'suspended');

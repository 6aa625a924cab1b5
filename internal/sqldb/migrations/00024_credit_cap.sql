-- +goose Up
CREATE TABLE credit_cap (                        -- what an owner used in a window; the limit is a setting of who owns it
    owner TEXT NOT NULL, window_start BIGINT NOT NULL,                         -- 0 = in total
    used BIGINT NOT NULL DEFAULT 0 CHECK (used >= 0),                          -- without what open leases spent
    leased BIGINT NOT NULL DEFAULT 0 CHECK (leased >= 0),
    PRIMARY KEY (owner, window_start)
);
CREATE INDEX credit_cap_window ON credit_cap (window_start) WHERE window_start > 0;
CREATE TABLE credit_cap_lease (
    lane BIGINT NOT NULL REFERENCES credit_lane (lane), owner TEXT NOT NULL, window_start BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0), held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0),
    spent BIGINT NOT NULL DEFAULT 0 CHECK (spent >= 0),
    PRIMARY KEY (lane, owner, window_start), CHECK (held + spent <= amount),
    FOREIGN KEY (owner, window_start) REFERENCES credit_cap (owner, window_start)
);
CREATE INDEX credit_cap_lease_cap ON credit_cap_lease (owner, window_start);
ALTER TABLE credit_hold ADD COLUMN caps TEXT NOT NULL DEFAULT '';              -- JSON: [[owner, window_start], …]; '' = none

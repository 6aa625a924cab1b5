-- +goose Up
-- What a user lets an app spend in a calendar month, in millionths of a credit
-- (0: no limit), and when that was said (0: never).
ALTER TABLE grant_consent ADD COLUMN credits_per_month BIGINT NOT NULL DEFAULT 0 CHECK (credits_per_month >= 0);
ALTER TABLE grant_consent ADD COLUMN limited_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX grant_consent_limited ON grant_consent (limited_at) WHERE limited_at > 0;

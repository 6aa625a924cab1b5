-- +goose Up
ALTER TABLE account_user ADD COLUMN timezone TEXT NOT NULL DEFAULT ''; -- an IANA name, to show times in

CREATE TABLE account_preference (                -- what people chose; who has no row has the defaults
    user_id     TEXT PRIMARY KEY,
    model_id    TEXT NOT NULL,                   -- '' is none
    model_at    BIGINT,                          -- when that was chosen
    stream      BOOLEAN NOT NULL,
    max_tokens  BIGINT,
    temperature BIGINT,                          -- in thousandths
    mails       BOOLEAN NOT NULL,                -- those that may be switched off
    alerts      BOOLEAN NOT NULL,                -- mails about how much of the plan is used
    metadata    TEXT NOT NULL,                   -- a JSON object of an app, or ''
    updated_at  BIGINT NOT NULL
);

CREATE TABLE credit_alert (                      -- how far its user knows that a plan's grant is used
    grant_id BIGINT PRIMARY KEY REFERENCES credit_grant (id),
    percent  BIGINT NOT NULL CHECK (percent IN (75, 90, 100))
);

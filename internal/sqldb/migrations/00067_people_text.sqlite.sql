-- +goose Up
-- What a search of people reads instead of their rows.
CREATE INDEX account_user_text ON account_user (email_key || ' ' || username_key || ' ' || LOWER(first_name || ' ' || last_name), id);

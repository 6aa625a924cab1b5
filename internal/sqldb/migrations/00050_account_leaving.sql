-- +goose Up
CREATE INDEX account_user_leaving ON account_user (state_until, id) WHERE state = 'deleted' AND state_until IS NOT NULL;

-- +goose Up
-- What administrators filter lists by; of what nearly every row has, only the
-- rare values.
CREATE INDEX subscription_plan_state ON subscription_plan (state, id);
CREATE INDEX subscription_plan_any_tier ON subscription_plan (tier, id);
CREATE INDEX subscription_plan_annual ON subscription_plan (id) WHERE cycle = 'annual';
CREATE INDEX subscription_plan_paid ON subscription_plan (mode, id) WHERE mode <> 'free';
CREATE INDEX subscription_event_trial ON subscription_event (to_state) WHERE from_state = 'trial';
CREATE INDEX webhook_delivery_state ON webhook_delivery (state, id) WHERE state <> 'succeeded';
CREATE INDEX webhook_delivery_type ON webhook_delivery (type, id);
CREATE INDEX impersonation_admin ON impersonation (admin_id, id);
CREATE INDEX audit_log_outcome ON audit_log (outcome, seq) WHERE outcome <> 'done';
-- What a thing is called names it without its type.
DROP INDEX audit_log_resource;
CREATE INDEX audit_log_type ON audit_log (resource_type, seq);
CREATE INDEX audit_log_thing ON audit_log (resource_id, seq);

-- +goose Up
ALTER TABLE account_user ADD COLUMN staff BOOLEAN NOT NULL DEFAULT FALSE; -- has a role; replaces the column role
UPDATE account_user SET staff = TRUE WHERE role <> '';
CREATE INDEX account_user_staff ON account_user (id) WHERE staff;

CREATE TABLE role_lock (                         -- who changes rights waits for it
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    changes BIGINT NOT NULL
);
INSERT INTO role_lock (id, changes) VALUES (1, 0);

CREATE TABLE role_custom (                       -- roles that the instance defined
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,                   -- JSON, names
    version     BIGINT NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);
CREATE UNIQUE INDEX role_custom_name ON role_custom (name_key) WHERE deleted_at IS NULL;

CREATE TABLE role_assignment (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    role_id    TEXT NOT NULL,                    -- of role_custom, or the name of a role of the system
    reason     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    ended_at   BIGINT,
    ended_by   TEXT NOT NULL
);
CREATE UNIQUE INDEX role_assignment_one ON role_assignment (user_id, role_id) WHERE ended_at IS NULL;
CREATE INDEX role_assignment_user ON role_assignment (user_id, id);
CREATE INDEX role_assignment_role ON role_assignment (role_id) WHERE ended_at IS NULL;
CREATE INDEX role_assignment_by ON role_assignment (created_by, created_at);
CREATE INDEX role_assignment_due ON role_assignment (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;
INSERT INTO role_assignment (id, user_id, role_id, reason, created_by, created_at, expires_at, ended_at, ended_by)
    SELECT 'ras_' || SUBSTR(id, 5), id, role, 'set-up', 'system', created_at, NULL, NULL, '' FROM account_user WHERE role <> '';

CREATE TABLE role_override (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    permission TEXT NOT NULL,
    effect     TEXT NOT NULL CHECK (effect IN ('grant', 'revoke')),
    reason     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    ended_at   BIGINT,
    ended_by   TEXT NOT NULL
);
CREATE UNIQUE INDEX role_override_one ON role_override (user_id, permission, effect) WHERE ended_at IS NULL;
CREATE INDEX role_override_user ON role_override (user_id, id);
CREATE INDEX role_override_by ON role_override (created_by, created_at);
CREATE INDEX role_override_due ON role_override (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;

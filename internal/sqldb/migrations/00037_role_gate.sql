-- +goose Up
CREATE TABLE role_visit (                        -- when somebody administered last, by sign-in
    user_id      TEXT NOT NULL,
    signed_in_at BIGINT NOT NULL,                -- Unix seconds
    last_at      BIGINT NOT NULL,
    PRIMARY KEY (user_id, signed_in_at)
);
CREATE INDEX role_visit_last ON role_visit (last_at);

CREATE TABLE role_network (                      -- from where a role may administer; a role without any: from everywhere
    id         TEXT PRIMARY KEY,
    role_id    TEXT NOT NULL,
    cidr       TEXT NOT NULL,
    note       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (role_id, cidr)
);

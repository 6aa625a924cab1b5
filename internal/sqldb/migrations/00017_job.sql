-- +goose Up
CREATE TABLE job_task (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    key           TEXT NOT NULL UNIQUE,          -- the effect that happens once; the id where nothing was named
    argument      TEXT NOT NULL,                 -- JSON
    created_at    BIGINT NOT NULL,
    due_at        BIGINT NOT NULL,
    attempt       BIGINT NOT NULL DEFAULT 0 CHECK (attempt >= 0),              -- also the fence of who claimed it
    claimed_by    TEXT NOT NULL DEFAULT '',
    claimed_until BIGINT NOT NULL DEFAULT 0,
    state         TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'dead')),
    started_at    BIGINT NOT NULL DEFAULT 0,
    ended_at      BIGINT NOT NULL DEFAULT 0,
    error         TEXT NOT NULL DEFAULT ''       -- of the last attempt
);
CREATE INDEX job_task_waiting ON job_task (kind, due_at) WHERE state = 'waiting';
CREATE INDEX job_task_kind ON job_task (kind, id);
CREATE INDEX job_task_ended ON job_task (state, ended_at) WHERE state <> 'waiting';

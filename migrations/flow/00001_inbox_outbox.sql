-- +goose Up

-- Which events a subscription has handled. Event ids are UUIDv7, so a partition is a span of time; partitions are made ahead
-- and dropped whole by the runtime.
CREATE TABLE inbox (
    event_id   uuid        NOT NULL,
    queue      text        NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, queue)
) PARTITION BY RANGE (event_id);

-- Events that were committed with the state that caused them and that the broker has not confirmed yet. due_at is when somebody
-- other than the one who wrote the row may publish it.
CREATE TABLE outbox (
    event_id       uuid        PRIMARY KEY,
    type           text        NOT NULL,
    correlation_id text        NOT NULL,
    body           text        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    due_at         timestamptz NOT NULL DEFAULT now() + interval '10 seconds',
    attempts       int         NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 1000000);

-- +goose Down
DROP TABLE outbox;
DROP TABLE inbox;

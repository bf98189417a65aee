-- +goose Up

-- What operators have done with dead letters: a line for each message and action, written before the message leaves its queue, so that
-- none is changed without a trace. Lines are added and never changed.
CREATE TABLE history (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    who        text        NOT NULL, -- user@host of the process, and the database's user
    run_id     uuid        NOT NULL, -- one call of the command
    plan_id    uuid,                 -- of dlq apply
    action     text        NOT NULL, -- replay, edit, drop, import
    outcome    text        NOT NULL, -- replayed, edited, dropped, imported, already_there (found by an import); unknown: sent, and not confirmed
    message_id text        NOT NULL, -- as it was in the dead-letter queue
    sent_id    text        NOT NULL, -- of what was sent instead; '' where nothing was
    type       text        NOT NULL,
    order_id   text        NOT NULL,
    body_hash  bytea       NOT NULL, -- SHA-256 of the body in the dead-letter queue
    from_queue text        NOT NULL,
    to_queue   text        NOT NULL, -- '' where nothing was sent
    to_file    text        NOT NULL  -- '' where nothing was kept
);
CREATE INDEX ON history (order_id, id);
CREATE INDEX ON history (message_id, id);
CREATE INDEX ON history (run_id, id);
CREATE INDEX ON history (plan_id) WHERE plan_id IS NOT NULL;
CREATE INDEX ON history (at);

-- +goose StatementBegin
CREATE FUNCTION history_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of dead letters is only added to';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON history EXECUTE FUNCTION history_only_grows();

-- +goose Down
DROP TABLE history;
DROP FUNCTION history_only_grows;

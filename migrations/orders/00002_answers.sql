-- +goose Up

-- What was answered first under an idempotency key, kept for 24 hours. A partition is a day; partitions are made ahead and dropped whole by
-- the runtime. No index can keep a key unique over two days, so whoever takes one holds its advisory lock meanwhile, and looks first.
CREATE TABLE answers (
    caller       text COLLATE "C" NOT NULL, -- whose key it is; '' where callers are not told apart
    key          text COLLATE "C" NOT NULL,
    request_hash bytea            NOT NULL,
    order_id     uuid             NOT NULL,
    response     text             NOT NULL,
    created_at   timestamptz      NOT NULL,
    PRIMARY KEY (caller, key, created_at)
) PARTITION BY RANGE (created_at);

-- idempotency_keys is where the version before keeps them, and may go on to do so while this one is rolled out. What is in there counts. The
-- other way about, that version finds there what this one has answered: before it takes a key it waits for its turn, as this one does, and
-- gets a copy of the answer. A key that came in quotation marks is kept there with them, and with what followed them (RFC 9651); here it is
-- without. The table goes, with all of this, when no version that knows it can run any more.
-- +goose StatementBegin
CREATE FUNCTION idempotency_key_was_answered() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    quoted text := substring(NEW.key FROM '^"((?:[^"\\]|\\["\\])*)"(?:;.*)?$');
    plain  text := coalesce(regexp_replace(quoted, '\\(.)', '\1', 'g'), NEW.key);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(plain, hashtextextended('', 0)));
    INSERT INTO idempotency_keys (key, request_hash, order_id, response, created_at)
    SELECT NEW.key, request_hash, order_id, response, created_at FROM answers
    WHERE caller = '' AND key = plain AND created_at > now() - interval '24 hours'
    ON CONFLICT (key) DO UPDATE SET request_hash = excluded.request_hash, order_id = excluded.order_id,
        response = excluded.response, created_at = excluded.created_at;
    IF FOUND THEN
        RETURN NULL; -- the key was not free
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER was_answered BEFORE INSERT ON idempotency_keys FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION idempotency_key_was_answered();

-- +goose Down
DROP TRIGGER was_answered ON idempotency_keys;
DROP FUNCTION idempotency_key_was_answered;
DROP TABLE answers;

-- +goose Up

-- Which event has told of the state that a row is in, and what else is needed to say it once more: should the event be lost, orderflow nudge
-- publishes it again, with the same id. What is older has none, and cannot be nudged, unless the order's timeline knows the event.
ALTER TABLE shipments ADD COLUMN said_id uuid, ADD COLUMN reason text, ADD COLUMN detail text;

-- A version that does not note the event, and changes the state beside one that does, leaves the id of the event before, which told of another state.
-- +goose StatementBegin
CREATE FUNCTION said_of_another_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.said_id := NULL;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER said_of_another_state BEFORE UPDATE OF status ON shipments
    FOR EACH ROW WHEN (NEW.status <> OLD.status AND NEW.said_id = OLD.said_id) EXECUTE FUNCTION said_of_another_state();

-- +goose Down
DROP TRIGGER said_of_another_state ON shipments;
DROP FUNCTION said_of_another_state;
ALTER TABLE shipments DROP COLUMN said_id, DROP COLUMN reason, DROP COLUMN detail;

-- +goose Up

CREATE TABLE stock (
    product_id text        PRIMARY KEY,
    on_hand    bigint      NOT NULL CHECK (on_hand >= 0), -- in the house, reserved or not
    reserved   bigint      NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND on_hand),
    shipped    bigint      NOT NULL DEFAULT 0 CHECK (shipped >= 0), -- has left the house
    put_in     bigint      NOT NULL CHECK (put_in >= 0), -- what people have put in, less what they took out: on_hand + shipped
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE reservations (
    order_id       uuid        PRIMARY KEY, -- one reservation for each order
    reservation_id uuid        NOT NULL,
    status         text        NOT NULL,
    items          jsonb       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);

-- +goose Down
DROP TABLE reservations;
DROP TABLE stock;

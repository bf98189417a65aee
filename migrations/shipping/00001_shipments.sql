-- +goose Up

CREATE TABLE shipments (
    order_id        uuid        PRIMARY KEY, -- one parcel for each order
    shipment_id     uuid        NOT NULL,
    status          text        NOT NULL,
    carrier         text,
    tracking_number text,
    cancel_asked    boolean     NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);

-- +goose Down
DROP TABLE shipments;

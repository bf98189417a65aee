-- +goose Up

CREATE TABLE payments (
    order_id          uuid        PRIMARY KEY, -- one payment for each order
    payment_id        uuid        NOT NULL,
    status            text        NOT NULL,
    amount            bigint      NOT NULL CHECK (amount >= 0), -- minor units
    refunded_amount   bigint      NOT NULL DEFAULT 0 CHECK (refunded_amount BETWEEN 0 AND amount),
    currency          text        NOT NULL,
    gateway_reference text,
    undo_reason       text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);

-- +goose Down
DROP TABLE payments;

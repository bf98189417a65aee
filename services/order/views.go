package order

import (
	"time"

	"github.com/google/uuid"
)

// orderPage is one page of the orders.
type orderPage struct {
	Orders     []view `json:"orders"`
	NextCursor string `json:"next_cursor,omitempty"` // where the next page begins; there is none on the last one
}

// timelineAnswer is a timeline, with its details as they are in the database.
type timelineAnswer struct {
	Events []moment `json:"events"`
}

// timelineView is a timeline as the document describes it: with the type of the details.
type timelineView struct {
	Events []momentView `json:"events"`
}

// momentView is an event of an order, as it was seen.
type momentView struct {
	ID     uuid.UUID `json:"id"`
	Type   string    `json:"type"`    // what happened, such as OrderPlaced
	Source string    `json:"source"`  // the service that said so, such as /payment
	Time   time.Time `json:"time"`    // when it happened
	SeenAt time.Time `json:"seen_at"` // when the order's service saw it
	Data   *detail   `json:"data,omitempty"`
}

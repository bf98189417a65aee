package httpapi

import (
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
)

// Text is the schema of a text with some characters; none of them is a control character.
func Text(most int) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", MinLength: new(1), MaxLength: &most, Pattern: `^[^\x00-\x1f\x7f-\x9f]*$`}
}

// UUID is the schema of an id. The pattern says what the format means, to those who do not look at formats.
func UUID() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Format: "uuid", Pattern: `^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`}
}

// The parameters that several routes have.
var (
	PageLimit = Param{
		In: InQuery, Name: "limit", Description: fmt.Sprintf("How many a page has at most; %d if it is not said.", defaultLimit),
		Schema: &jsonschema.Schema{Type: "integer", Minimum: new(1.0), Maximum: new(float64(maxLimit))},
	}
	PageCursor = Param{
		In: InQuery, Name: "cursor", Schema: &jsonschema.Schema{Type: "string"},
		Description: "Where the page begins: `next_cursor` of the page before it. Without one, or with an empty one, it is the first page. What is in it " +
			"may change; nothing else than what an answer said will do.",
	}
	OrderInPath = Param{In: InPath, Name: "order_id", Description: "The id of the order.", Required: true, Schema: UUID()}
	IfNoneMatch = Param{
		In: InHeader, Name: "If-None-Match", Schema: &jsonschema.Schema{Type: "string"},
		Description: "The `ETag` of an earlier answer, or several of them. If it is still the same, the answer is 304 and has no body.",
	}
	TraceContext = Param{
		In: InHeader, Name: "traceparent", Schema: &jsonschema.Schema{Type: "string"},
		Description: "The W3C trace context that the events belong to, which this request gives rise to. What is malformed is ignored.",
	}
	PreferWait = Param{
		In: InHeader, Name: "Prefer", Schema: &jsonschema.Schema{Type: "string"},
		Description: "`wait=10` (RFC 7240): answer when the order has ended, or after 10 seconds as it is then. More seconds than the server is " +
			"ready to wait are cut down, and other preferences are ignored; `Preference-Applied` tells what was done.",
	}
)

// The headers that several answers have.
var (
	ETag = Param{
		Name: "ETag", Description: "Stands for what is answered; to be sent as `If-None-Match`.", Required: true, Schema: &jsonschema.Schema{Type: "string"},
	}
	PreferenceApplied = Param{
		Name: "Preference-Applied", Description: "`wait=N`, if the answer waited for the order to end, with the seconds after which it would not have.",
		Schema: &jsonschema.Schema{Type: "string"},
	}
)

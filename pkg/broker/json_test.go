package broker

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// everything is a message with a header of each type that RabbitMQ knows.
func everything() Message {
	return Message{
		ID: "id", Type: "\xff\x00", CorrelationID: "<&>", AppID: "a", ContentType: "c", ContentEncoding: "e", ReplyTo: "r", Priority: 255,
		Timestamp: time.Unix(1_767_000_000_000, 0), Body: []byte{0, 0xff, '\n', 0xe2, 0x80},
		Headers: map[string]any{
			"nil": nil, "bool": true, "int8": int8(-128), "uint8": byte(255), "int16": int16(-1 << 15), "int32": int32(-1 << 31),
			"int64": int64(math.MinInt64), "float32": float32(0.1), "float64": math.Inf(-1), "text": "ü\u2028\x00", "no text": "\xc3",
			"bytes": []byte{0xff}, "empty": []byte{}, "time": time.Unix(1_700_000_000, 0), "decimal": amqp.Decimal{Scale: 2, Value: -5},
			"table": amqp.Table{"in": []any{int32(1), amqp.Table{}, "x"}}, "list": []any{}, "base64": "base64",
		},
	}
}

func TestMessageAsJSONIsTheSame(t *testing.T) {
	for name, m := range map[string]Message{"everything": everything(), "nothing": {Body: []byte{}}, "text": {Body: []byte(`{"a":"ü"}`), Timestamp: time.Unix(0, 0)}} {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\n") {
			t.Errorf("%s takes more than a line", name)
		}
		var got Message
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%s came back as\n%+v\nfrom\n%+v\nby %s", name, got, m, text)
		}
	}
}

func TestMessageAsJSONLeavesOut(t *testing.T) {
	m := Message{Exchange: "x", RoutingKey: "k", Mandatory: true, Headers: map[string]any{"x-delivery-count": int64(3), "x-acquired-count": int64(3)}}
	text, err := json.Marshal(m)
	if err != nil || string(text) != `{"body":""}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestMessageFromWrongJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"headers":{"a":5}}`:              `a number needs its type`,
		`{"headers":{"a":{"int64":5}}}`:    `header of type int64`,
		`{"headers":{"a":{"int8":"200"}}}`: `out of range`,
		`{"headers":{"a":{"long":"5"}}}`:   `there is no such type`,
		`{"headers":{"a":{}}}`:             `has 0 types`,
		`{"headers":{"a":[1]}}`:            `a number needs its type`,
		`{"body":{"b64":""}}`:              `neither a text nor base64`,
		`{"body":{"base64":"%"}}`:          `illegal base64`,
		`{"body":7}`:                       `cannot unmarshal`,
		`{"boby":"7"}`:                     `unknown field`,
	} {
		var m Message
		if err := json.Unmarshal([]byte(text), &m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

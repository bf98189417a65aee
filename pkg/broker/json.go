package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// onFile is a message as JSON. Read again it is the same to the byte, with the same types in its headers; but without what the broker counts in
// headers of its own, which is not the message's.
type onFile struct {
	ID              exact            `json:"id,omitzero"`
	Type            exact            `json:"type,omitzero"`
	CorrelationID   exact            `json:"correlation_id,omitzero"`
	AppID           exact            `json:"app_id,omitzero"`
	ContentType     exact            `json:"content_type,omitzero"`
	ContentEncoding exact            `json:"content_encoding,omitzero"`
	ReplyTo         exact            `json:"reply_to,omitzero"`
	Priority        uint8            `json:"priority,omitzero"`
	Timestamp       *int64           `json:"timestamp,omitzero"` // seconds since 1970, as AMQP has it
	Headers         map[string]field `json:"headers,omitempty"`
	Body            exact            `json:"body"`
}

// MarshalJSON implements json.Marshaler. It leaves out where the message was published to.
func (m Message) MarshalJSON() ([]byte, error) {
	f := onFile{
		ID: exact(m.ID), Type: exact(m.Type), CorrelationID: exact(m.CorrelationID), AppID: exact(m.AppID), ContentType: exact(m.ContentType),
		ContentEncoding: exact(m.ContentEncoding), ReplyTo: exact(m.ReplyTo), Priority: m.Priority, Body: exact(m.Body),
		Headers: make(map[string]field, len(m.Headers)),
	}
	if !m.Timestamp.IsZero() {
		f.Timestamp = new(m.Timestamp.Unix())
	}
	for name, value := range m.Headers {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("header %q: its name is no UTF-8", name)
		}
		if !slices.Contains(counters, name) {
			f.Headers[name] = field{value}
		}
	}
	return json.Marshal(f)
}

var counters = []string{"x-delivery-count", "x-acquired-count"}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Message) UnmarshalJSON(text []byte) error {
	var f onFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return err
	}
	*m = Message{
		ID: string(f.ID), Type: string(f.Type), CorrelationID: string(f.CorrelationID), AppID: string(f.AppID), ContentType: string(f.ContentType),
		ContentEncoding: string(f.ContentEncoding), ReplyTo: string(f.ReplyTo), Priority: f.Priority, Body: []byte(f.Body),
	}
	if f.Timestamp != nil {
		m.Timestamp = time.Unix(*f.Timestamp, 0)
	}
	if len(f.Headers) > 0 {
		m.Headers = make(map[string]any, len(f.Headers))
	}
	for name, value := range f.Headers {
		m.Headers[name] = value.value
	}
	return nil
}

// exact is bytes: text where they are UTF-8, {"base64": …} where they are not.
type exact string

type inBase64 struct {
	Base64 *[]byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (e exact) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(e)) {
		return json.Marshal(string(e))
	}
	bytes := []byte(e)
	return json.Marshal(inBase64{&bytes})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *exact) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(e))
	}
	var bytes inBase64
	if err := json.Unmarshal(text, &bytes); err != nil {
		return err
	}
	if bytes.Base64 == nil {
		return errors.New("neither a text nor base64")
	}
	*e = exact(*bytes.Base64)
	return nil
}

// field is a header's value: null, a bool or a text as JSON has them, everything else under the name of its type, as {"int64": "5"}.
type field struct{ value any }

// MarshalJSON implements json.Marshaler.
func (f field) MarshalJSON() ([]byte, error) {
	typed := func(name string, value any) ([]byte, error) { return json.Marshal(map[string]any{name: value}) }
	integer := func(name string, value int64) ([]byte, error) { return typed(name, strconv.FormatInt(value, 10)) }
	switch v := f.value.(type) {
	case nil, bool:
		return json.Marshal(v)
	case string:
		return exact(v).MarshalJSON()
	case int8:
		return integer("int8", int64(v))
	case byte:
		return integer("uint8", int64(v))
	case int16:
		return integer("int16", int64(v))
	case uint16:
		return integer("uint16", int64(v))
	case int32:
		return integer("int32", int64(v))
	case uint32:
		return integer("uint32", int64(v))
	case int64:
		return integer("int64", v)
	case float32:
		return typed("float32", strconv.FormatUint(uint64(math.Float32bits(v)), 16))
	case float64:
		return typed("float64", strconv.FormatUint(math.Float64bits(v), 16))
	case []byte:
		return typed("bytes", v)
	case time.Time:
		return integer("time", v.Unix())
	case amqp.Decimal:
		return typed("decimal", v)
	case []any:
		list := make([]field, len(v))
		for i, one := range v {
			list[i] = field{one}
		}
		return typed("list", list)
	case amqp.Table:
		table := make(map[string]field, len(v))
		for name, one := range v {
			if !utf8.ValidString(name) {
				return nil, fmt.Errorf("header %q: its name is no UTF-8", name)
			}
			table[name] = field{one}
		}
		return typed("table", table)
	}
	return nil, fmt.Errorf("a header of type %T", f.value)
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *field) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '{' {
		if err := json.Unmarshal(text, &f.value); err != nil {
			return err
		}
		switch f.value.(type) {
		case nil, bool, string:
			return nil
		}
		return fmt.Errorf("header %s: a number needs its type, as {\"int64\": \"5\"}", text)
	}
	var typed map[string]json.RawMessage
	if err := json.Unmarshal(text, &typed); err != nil {
		return err
	}
	if len(typed) != 1 {
		return fmt.Errorf("header %s: has %d types", text, len(typed))
	}
	for name, value := range typed {
		var err error
		if f.value, err = readField(name, value); err != nil {
			return fmt.Errorf("header of type %s: %w", name, err)
		}
	}
	return nil
}

func readField(name string, text []byte) (any, error) {
	number := func(bits, base int) (uint64, error) {
		var digits string
		if err := json.Unmarshal(text, &digits); err != nil {
			return 0, err
		}
		if base == 16 {
			return strconv.ParseUint(digits, base, bits)
		}
		if name[0] == 'u' {
			return strconv.ParseUint(digits, base, bits)
		}
		n, err := strconv.ParseInt(digits, base, bits)
		return uint64(n), err
	}
	switch name {
	case "int8":
		n, err := number(8, 10)
		return int8(n), err
	case "uint8":
		n, err := number(8, 10)
		return byte(n), err
	case "int16":
		n, err := number(16, 10)
		return int16(n), err
	case "uint16":
		n, err := number(16, 10)
		return uint16(n), err
	case "int32":
		n, err := number(32, 10)
		return int32(n), err
	case "uint32":
		n, err := number(32, 10)
		return uint32(n), err
	case "int64":
		n, err := number(64, 10)
		return int64(n), err
	case "float32":
		n, err := number(32, 16)
		return math.Float32frombits(uint32(n)), err
	case "float64":
		n, err := number(64, 16)
		return math.Float64frombits(n), err
	case "time":
		n, err := number(64, 10)
		return time.Unix(int64(n), 0), err
	}
	return readCompound(name, text)
}

func readCompound(name string, text []byte) (any, error) {
	switch name {
	case "base64":
		var bytes []byte
		err := json.Unmarshal(text, &bytes)
		return string(bytes), err
	case "bytes":
		var bytes []byte
		err := json.Unmarshal(text, &bytes)
		return bytes, err
	case "decimal":
		var d amqp.Decimal
		err := json.Unmarshal(text, &d)
		return d, err
	case "list":
		var fields []field
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, err
		}
		list := make([]any, len(fields))
		for i, one := range fields {
			list[i] = one.value
		}
		return list, nil
	case "table":
		var fields map[string]field
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, err
		}
		table := make(amqp.Table, len(fields))
		for name, one := range fields {
			table[name] = one.value
		}
		return table, nil
	}
	return nil, errors.New("there is no such type")
}

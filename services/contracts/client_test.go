package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"orderflow/pkg/client"
)

// methods are those of the client, by the operations that they stand for; "" where no program needs one.
var methods = map[string]string{
	"placeOrder": "PlaceOrder", "listOrders": "Orders", "getOrder": "Order", "cancelOrder": "CancelOrder", "getTimeline": "Timeline",
	"listPayments": "Payments", "listReservations": "Reservations", "listShipments": "Shipments",
	"listStock": "Stock", "getStock": "StockOf", "putStock": "PutStock", "getReadiness": "Ready",
	"getHealth": "", "getMetrics": "", "getOpenAPI": "", "getAsyncAPI": "", "getDocs": "", "getEventDocs": "", "getDocsAsset": "",
}

// shapes are the client's types, by the schemas that they are written after; nil where the client has no type for it.
var shapes = map[string]any{
	"PlaceOrder": client.OrderRequest{}, "Order": client.Order{}, "OrderPage": client.OrderPage{}, "Item": client.Item{}, "Address": client.Address{},
	"Payment": client.Payment{}, "Reservation": client.Reservation{}, "Shipment": client.Shipment{}, "Stock": client.Stock{},
	"TimelineEvent": client.TimelineEvent{}, "TimelineDetail": client.EventData{},
	"Problem": client.Problem{}, "ProblemField": client.FieldError{},
	"PutStock": nil, "StockPage": nil, "Timeline": nil, "PaymentList": nil, "ReservationList": nil, "ShipmentList": nil, "Health": nil,
}

func readDocument(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromFile("../documents/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// TestClientHasAllOperations of the document, and none that is gone.
func TestClientHasAllOperations(t *testing.T) {
	left := maps.Clone(methods)
	for path, item := range readDocument(t).Paths.Map() {
		for verb, operation := range item.Operations() {
			name, known := methods[operation.OperationID]
			if delete(left, operation.OperationID); !known {
				t.Errorf("%s %s: who does %s is not told here", verb, path, operation.OperationID)
			} else if _, has := reflect.TypeFor[*client.Client]().MethodByName(name); name != "" && !has {
				t.Errorf("%s %s: pkg/client has no %s", verb, path, name)
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("the document has no operations %v", left)
	}
}

// TestClientHasAllSchemas of the document: each field of each, by its name and type, and no others.
func TestClientHasAllSchemas(t *testing.T) {
	left, values := maps.Clone(shapes), clientStrings(t)
	for name, schema := range readDocument(t).Components.Schemas {
		shape, known := shapes[name]
		if delete(left, name); !known {
			t.Errorf("%s: the client's type for it is not told here", name)
		} else if shape != nil {
			compare(t, name, schema.Value, reflect.TypeOf(shape), values)
		}
	}
	if len(left) > 0 {
		t.Errorf("the document has no schemas %v", left)
	}
}

// compare holds a type against a schema.
func compare(t *testing.T, where string, s *openapi3.Schema, is reflect.Type, values []string) {
	t.Helper()
	for _, v := range s.Enum {
		if !slices.Contains(values, v.(string)) {
			t.Errorf("%s: the client has no constant %q", where, v)
		}
	}
	switch {
	case s.Type.Is("string") && s.Format == "uuid":
		expect(t, where, is, is == reflect.TypeFor[uuid.UUID]())
	case s.Type.Is("string") && s.Format == "date-time":
		expect(t, where, is, is == reflect.TypeFor[time.Time]())
	case s.Type.Is("string"):
		expect(t, where, is, is.Kind() == reflect.String)
	case s.Type.Is("integer"):
		expect(t, where, is, is.Kind() == reflect.Int64 || is.Kind() == reflect.Int)
	case s.Type.Is("array"):
		if expect(t, where, is, is.Kind() == reflect.Slice) {
			compare(t, where+"[]", s.Items.Value, is.Elem(), values)
		}
	case s.Type.Is("object"):
		if expect(t, where, is, is.Kind() == reflect.Struct) {
			compareFields(t, where, s, is, values)
		}
	default:
		t.Errorf("%s: what to expect of the type %v is not told here", where, s.Type)
	}
}

func expect(t *testing.T, where string, is reflect.Type, fits bool) bool {
	t.Helper()
	if !fits {
		t.Errorf("%s: %s does not fit", where, is)
	}
	return fits
}

func compareFields(t *testing.T, where string, s *openapi3.Schema, is reflect.Type, values []string) {
	t.Helper()
	fields := map[string]reflect.Type{}
	for field := range is.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			fields[name] = field.Type
		}
	}
	for name, property := range s.Properties {
		if field, has := fields[name]; has {
			compare(t, where+"."+name, property.Value, field, values)
		} else {
			t.Errorf("%s: %s has no field for %s", where, is, name)
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("%s: it has no %v", where, slices.Collect(maps.Keys(fields)))
	}
}

// clientStrings are all strings in the client's source, its constants among them.
func clientStrings(t *testing.T) (values []string) {
	t.Helper()
	files, err := filepath.Glob("../../pkg/client/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, is := n.(*ast.BasicLit); is && text.Kind == token.STRING {
				value, _ := strconv.Unquote(text.Value) // the parser has seen to it that it can be
				values = append(values, value)
			}
			return true
		})
	}
	return values
}

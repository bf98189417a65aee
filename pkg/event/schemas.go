package event

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed schemas/*.json
var embedded embed.FS

// Schemas are the JSON Schemas of the catalog Orders, one for each type and version, by their names ("OrderPlaced.v1.json"). They are made by
// "go run ./services/contracts".
var Schemas, _ = fs.Sub(embedded, "schemas")

var english = message.NewPrinter(language.English)

// checker checks data against the schema of v, which is compiled when the first event comes. The envelope is not looked at again: Decode has
// checked each of its fields, and it is a third of what there is to check.
func checker(files fs.FS, v *Version) func([]byte) error {
	compiled := sync.OnceValue(func() *jsonschema.Schema {
		s, err := compile(files, v.File(), dataIn)
		if err != nil {
			panic(fmt.Sprintf("event: schema of %s: %v; go run ./services/contracts makes it", v.Schema, err))
		}
		return s
	})
	return func(data []byte) error {
		var doc any
		err := json.Unmarshal(data, &doc)
		if err != nil { // a number that is too large for a float64; in a field that nobody knows it does no harm
			doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
		}
		if err != nil {
			return JSONError("/data", err)
		}
		return misfitOf("/data", compiled().Validate(doc))
	}
}

// dataIn is where the schema of an event describes its data.
const dataIn = "#/properties/data"

func compile(files fs.FS, name, part string) (*jsonschema.Schema, error) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name + part)
}

// misfitOf turns what a schema says against an event into a *FieldError about one of the fields that are wrong.
func misfitOf(parent string, err error) error {
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return err
	}
	for len(wrong.Causes) > 0 {
		wrong = wrong.Causes[0]
	}
	return newFieldError(parent+pointer(wrong.InstanceLocation), wrong.ErrorKind.LocalizedString(english))
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is the JSON pointer of a path.
func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteByte('/')
		escape.WriteString(&b, name)
	}
	return b.String()
}

package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Read reads the schemas of a folder, by their file names.
func Read(folder fs.FS) (map[string]*jsonschema.Schema, error) {
	names, err := fs.Glob(folder, "*.json")
	if err != nil {
		return nil, err
	}
	schemas := make(map[string]*jsonschema.Schema, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		s := &jsonschema.Schema{}
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		schemas[name] = s
	}
	return schemas, nil
}

// Breaks lists what breaks those who rely on what was released: each with the file, the pointer to the field, and why. What is new beside it
// breaks nobody.
func Breaks(released, current map[string]*jsonschema.Schema) (breaks []string) {
	for _, name := range slices.Sorted(maps.Keys(released)) {
		if current[name] == nil {
			breaks = append(breaks, name+": was released, and is no longer read: messages of it are under way")
			continue
		}
		c := comparison{file: name, old: released[name], new: current[name], seen: map[[2]*jsonschema.Schema]bool{}}
		c.schema("", c.old, c.new)
		breaks = append(breaks, c.breaks...)
	}
	return breaks
}

// comparison is that of two schemas of one message.
type comparison struct {
	file     string
	old, new *jsonschema.Schema             // the roots, in which references are looked up
	seen     map[[2]*jsonschema.Schema]bool // pairs that were compared; a type may refer to itself
	breaks   []string
}

func (c *comparison) breaksAt(pointer, format string, args ...any) {
	c.breaks = append(c.breaks, fmt.Sprintf("%s: %s: ", c.file, cmp.Or(pointer, "/"))+fmt.Sprintf(format, args...))
}

func (c *comparison) schema(at string, old, now *jsonschema.Schema) {
	old, now = resolve(c.old, old), resolve(c.new, now)
	if c.seen[[2]*jsonschema.Schema{old, now}] {
		return
	}
	c.seen[[2]*jsonschema.Schema{old, now}] = true
	c.keywords(at, old, now)
	c.values(at, old, now)
	c.limits(at, old, now)
	c.fields(at, old, now)
	if old.Items != nil && now.Items != nil {
		c.schema(at+"/*", old.Items, now.Items)
	}
	if old.Ref != "" || now.Ref != "" || !reflect.DeepEqual(rest(old), rest(now)) {
		c.breaksAt(at, "was changed in a way that this check does not know; teach it, or make a new version")
	}
}

// resolve follows a reference into the definitions of a root. One with more beside it than a description stays, and is not understood.
func resolve(root, s *jsonschema.Schema) *jsonschema.Schema {
	target := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
	if target == nil || !reflect.DeepEqual(s, &jsonschema.Schema{Ref: s.Ref, Description: s.Description}) {
		return s
	}
	return target
}

// keywords compares those that must stay as they are.
func (c *comparison) keywords(at string, old, now *jsonschema.Schema) {
	for _, k := range []struct {
		name     string
		old, now any
	}{
		{"type", old.Type, now.Type}, {"format", old.Format, now.Format}, {"pattern", old.Pattern, now.Pattern},
		{"const", valueOf(old.Const), valueOf(now.Const)},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			c.breaksAt(at, "its %s was %v and is %v", k.name, told(k.old), told(k.now))
		}
	}
	where, _ := old.Extra[Annotation].(map[string]any)
	whereNow, _ := now.Extra[Annotation].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(where)) {
		if !reflect.DeepEqual(where[name], whereNow[name]) {
			c.breaksAt(at, "its %s was %v and is %v", name, told(where[name]), told(whereNow[name]))
		}
	}
}

func valueOf(constant *any) any {
	if constant == nil {
		return nil
	}
	return *constant
}

func told(value any) string {
	if value == nil || value == "" {
		return "not given"
	}
	return fmt.Sprintf("%#v", value)
}

// values compares enumerations.
func (c *comparison) values(at string, old, now *jsonschema.Schema) {
	if (old.Enum == nil) != (now.Enum == nil) {
		c.breaksAt(at, "was an enumeration of %v and is one of %v", old.Enum, now.Enum)
		return
	}
	for _, v := range old.Enum {
		if !slices.Contains(now.Enum, v) {
			c.breaksAt(at, "narrower: %v is no longer one of its values, and is still under way", v)
		}
	}
	for _, v := range now.Enum {
		if !slices.Contains(old.Enum, v) {
			c.breaksAt(at, "wider: %v is a value that readers do not know", v)
		}
	}
}

// limits compares those that may be widened. One that is not there is the widest.
func (c *comparison) limits(at string, old, now *jsonschema.Schema) {
	lower(c, at, "minimum", old.Minimum, now.Minimum)
	upper(c, at, "maximum", old.Maximum, now.Maximum)
	lower(c, at, "minLength", old.MinLength, now.MinLength)
	upper(c, at, "maxLength", old.MaxLength, now.MaxLength)
	lower(c, at, "minItems", old.MinItems, now.MinItems)
	upper(c, at, "maxItems", old.MaxItems, now.MaxItems)
}

func lower[T cmp.Ordered](c *comparison, at, name string, old, now *T) {
	if now != nil && (old == nil || *now > *old) {
		c.breaksAt(at, "narrower: its %s was %s and is %v", name, limitOf(old), *now)
	}
}

func upper[T cmp.Ordered](c *comparison, at, name string, old, now *T) {
	if now != nil && (old == nil || *now < *old) {
		c.breaksAt(at, "narrower: its %s was %s and is %v", name, limitOf(old), *now)
	}
}

func limitOf[T any](limit *T) string {
	if limit == nil {
		return "not given"
	}
	return fmt.Sprint(*limit)
}

// fields compares the properties of objects.
func (c *comparison) fields(at string, old, now *jsonschema.Schema) {
	for _, name := range slices.Sorted(maps.Keys(old.Properties)) {
		below := at + "/" + name
		switch {
		case now.Properties[name] == nil:
			c.breaksAt(below, "was removed or renamed")
			continue
		case slices.Contains(old.Required, name) && !slices.Contains(now.Required, name):
			c.breaksAt(below, "wider: is no longer always there, and readers may need it")
		case !slices.Contains(old.Required, name) && slices.Contains(now.Required, name):
			c.breaksAt(below, "narrower: is required now, and not in everything that was sent")
		}
		c.schema(below, old.Properties[name], now.Properties[name])
	}
	for _, name := range slices.Sorted(maps.Keys(now.Properties)) {
		if old.Properties[name] == nil && slices.Contains(now.Required, name) {
			c.breaksAt(at+"/"+name, "narrower: is new and required, and not in anything that was sent")
		}
	}
}

// rest is what is left of a schema without that which is compared, and that which is for people.
func rest(s *jsonschema.Schema) *jsonschema.Schema {
	r := *s
	r.Title, r.Description, r.Comment, r.Examples, r.Deprecated = "", "", "", nil, false
	r.Type, r.Format, r.Pattern, r.Const, r.Enum = "", "", "", nil, nil
	r.Minimum, r.Maximum, r.MinLength, r.MaxLength, r.MinItems, r.MaxItems = nil, nil, nil, nil, nil, nil
	r.Properties, r.PropertyOrder, r.Required, r.Defs = nil, nil, nil, nil
	if r.Items != nil {
		r.Items = &jsonschema.Schema{} // there or not
	}
	r.Extra = maps.Clone(r.Extra)
	delete(r.Extra, Annotation)
	if len(r.Extra) == 0 {
		r.Extra = nil
	}
	return &r
}

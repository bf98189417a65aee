package schema

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// source is what the Go source of a module says of its types, read when it is asked for.
type source struct {
	module, root string
	packages     map[string]*facts
}

// facts are those of one package.
type facts struct {
	comments map[string]string   // of "Type" and "Type.Field"
	values   map[string][]string // of the constants of a type, in the order in which they stand there
}

func newSource(module, root string) *source {
	return &source{module: module, root: root, packages: map[string]*facts{}}
}

// comment returns what is said of a type, or of its field if there is one named. Other modules' types are not looked at.
func (s *source) comment(t reflect.Type, field string) (string, error) {
	f, err := s.of(t)
	if field != "" {
		field = "." + field
	}
	return f.comments[t.Name()+field], err
}

func (s *source) values(t reflect.Type) ([]string, error) {
	f, err := s.of(t)
	return f.values[t.Name()], err
}

func (s *source) of(t reflect.Type) (*facts, error) {
	path := t.PkgPath()
	if f := s.packages[path]; f != nil {
		return f, nil
	}
	f := &facts{comments: map[string]string{}, values: map[string][]string{}}
	if below, ours := strings.CutPrefix(path, s.module+"/"); ours {
		if err := f.read(filepath.Join(s.root, filepath.FromSlash(below))); err != nil {
			return f, fmt.Errorf("source of %s: %w", t, err)
		}
	}
	s.packages[path] = f
	return f, nil
}

// read takes in all files of a package but its tests.
func (f *facts) read(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, e.Name()), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if d, general := d.(*ast.GenDecl); general {
				f.declared(d)
			}
		}
	}
	return nil
}

func (f *facts) declared(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			f.comments[spec.Name.Name] = sentence(spec.Name.Name, spec.Doc, d.Doc)
			if s, isStruct := spec.Type.(*ast.StructType); isStruct {
				f.fields(spec.Name.Name, s)
			}
		case *ast.ValueSpec:
			if d.Tok == token.CONST {
				f.constants(spec)
			}
		}
	}
}

func (f *facts) fields(owner string, s *ast.StructType) {
	for _, field := range s.Fields.List {
		for _, name := range field.Names {
			f.comments[owner+"."+name.Name] = sentence(name.Name, field.Doc, field.Comment)
		}
	}
}

// constants notes those whose type is written beside them.
func (f *facts) constants(spec *ast.ValueSpec) {
	kind, named := spec.Type.(*ast.Ident)
	if !named {
		return
	}
	for _, value := range spec.Values {
		if literal, is := value.(*ast.BasicLit); is && literal.Kind == token.STRING {
			f.values[kind.Name] = append(f.values[kind.Name], constant.StringVal(constant.MakeFromLiteral(literal.Value, token.STRING, 0)))
		}
	}
}

// sentence is the first comment there is, on one line, without the name that it begins with: "OrderPlaced: a customer's…", "Item is one…".
func sentence(name string, comments ...*ast.CommentGroup) string {
	for _, c := range comments {
		text := strings.Join(strings.Fields(c.Text()), " ")
		if text == "" {
			continue
		}
		for _, opening := range []string{name + ": ", name + " is ", name + " are "} {
			text = strings.TrimPrefix(text, opening)
		}
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return ""
}

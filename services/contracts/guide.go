package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"strings"
	text "text/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"

	"orderflow/pkg/broker"
	"orderflow/pkg/contract"
	"orderflow/pkg/event"
)

// chapter is what the guide tells of one event.
type chapter struct {
	*event.Kind
	Says    string // what happened
	Readers []reader
	Example string
	Schema  string // the name of its file
}

// Guarantee tells what holds for the publication of the event.
func (c chapter) Guarantee() string { return guarantee(c.Kind) }

//go:embed guide.md.tmpl
var guideText string

var guideTemplate = text.Must(text.New("guide").Funcs(text.FuncMap{
	"anchor": func(t event.Type) string { return strings.ToLower(string(t)) }, "dlq": broker.DeadLetterQueue,
}).Parse(guideText))

// guide tells people of all events: as docs/events.md, or as it is served by the program, where there are no files to point to.
func guide(root string, all []reader, told map[event.Type]json.RawMessage, served bool) ([]byte, error) {
	describer := contract.NewDescriber(event.Orders, module, root, "")
	var chapters []chapter
	for _, k := range event.Orders.Kinds() {
		s, err := describer.Message(k, k.Versions()[0])
		if err != nil {
			return nil, err
		}
		example, err := indented(told[k.Type])
		if err != nil {
			return nil, err
		}
		chapters = append(chapters, chapter{k, s.Description, of(all, k.Type), example, k.Versions()[0].File()})
	}
	var b bytes.Buffer
	err := guideTemplate.Execute(&b, map[string]any{"Exchange": event.Orders.Exchange, "Events": chapters, "Served": served})
	return b.Bytes(), err
}

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page renders Markdown as a page that needs nothing else.
func page(title string, markdown []byte) ([]byte, error) {
	converter := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	var body, b bytes.Buffer
	if err := converter.Convert(markdown, &body); err != nil {
		return nil, err
	}
	err := pageTemplate.Execute(&b, map[string]any{"Title": title, "Body": template.HTML(body.String())})
	return b.Bytes(), err
}

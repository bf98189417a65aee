package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPicture(t *testing.T) {
	r := newResult(rounds(5))
	for _, name := range []string{"a.svg", "a.png"} {
		file := filepath.Join(t.TempDir(), name)
		if err := drawResult(r, file); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(name) == ".png" {
			if _, err := png.Decode(bytes.NewReader(text)); err != nil {
				t.Error(err)
			}
			continue
		}
		said := words(t, text)
		for _, target := range targets {
			if !strings.Contains(said, target.name) {
				t.Errorf("%q is not in the picture", target.name)
			}
			if median := number(target.values(r).Median); !strings.Contains(said, median) {
				t.Errorf("the median %s of %q is not in the picture", median, target.name)
			}
		}
	}
	if err := drawResult(r, filepath.Join(t.TempDir(), "none", "a.svg")); err == nil {
		t.Error("a picture in no folder")
	}
}

// words is the text in an SVG.
func words(t *testing.T, svg []byte) string {
	t.Helper()
	var all strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			all.Write(text)
		}
	}
}

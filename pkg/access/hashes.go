package access

import (
	"encoding/json"
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Hashes are those of the keys of one caller: one, or, while a new key takes the place of an old one, both. One is written as text, not
// as a list.
type Hashes []string

// MarshalYAML is for the file of keys.
func (h Hashes) MarshalYAML() (any, error) { return h.shortly(), nil }

// MarshalJSON is for who makes keys with a program.
func (h Hashes) MarshalJSON() ([]byte, error) { return json.Marshal(h.shortly()) }

func (h Hashes) shortly() any {
	if len(h) == 1 {
		return h[0]
	}
	return []string(h)
}

// UnmarshalYAML takes text as it stands: nothing that is no hash, such as a null, is left out or becomes one.
func (h *Hashes) UnmarshalYAML(node *yaml.Node) error {
	list := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		list = node.Content
	}
	*h = nil
	for _, one := range list {
		*h = append(*h, one.Value)
	}
	return nil
}

func (h Hashes) read() ([]hash, error) {
	if len(h) == 0 {
		return nil, errHash
	}
	sums := make([]hash, 0, len(h))
	for _, text := range h {
		sum, err := readHash(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(sums, sum) {
			return nil, errors.New("it has the same hash twice; a list of hashes is for keys that differ")
		}
		sums = append(sums, sum)
	}
	return sums, nil
}

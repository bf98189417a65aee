package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseKeys reads the text of a file. It is strict: a key that may less or more than was meant is worse than none. The errors name lines.
func parseKeys(text []byte) (keys []*key, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	list, err := listOf(&root)
	if err != nil {
		return nil, err
	}
	var wrong faults
	for _, node := range list.Content {
		more, bad := readEntry(node, keys)
		keys, wrong = append(keys, more...), append(wrong, bad...)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return keys, nil
}

// listOf finds the list below "keys", the only thing there may be. Written out as empty, it means that there are no keys any more. An
// empty file does not mean that: it may be one that is just being written.
func listOf(root *yaml.Node) (*yaml.Node, error) {
	if len(root.Content) == 0 {
		return nil, errors.New("the file is empty; it begins with keys: and an entry for each key, which orderflow key new prints")
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode || len(top.Content) != 2 || top.Content[0].Value != "keys" || top.Content[1].Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: the file is one list, keys:, with an entry for each key, which orderflow key new prints; without any, it is keys: []", top.Line)
	}
	return top.Content[1], nil
}

// readEntry returns the keys of an entry, and all that is wrong with it, also beside the keys before it. Where name or hash are wrong, there
// are no keys.
func readEntry(node *yaml.Node, before []*key) ([]*key, faults) {
	if node.Kind != yaml.MappingNode {
		return nil, faults{{node.Line, fmt.Errorf("an entry has fields: %s", strings.Join(fields, ", "))}}
	}
	r := reading{node: node, lines: map[string]int{}, bad: map[string]bool{}}
	for i := 0; i < len(node.Content); i += 2 {
		r.take(node.Content[i], node.Content[i+1])
	}
	keys, wrong := r.entry.read()
	for _, w := range wrong {
		if !r.bad[w.field] && (w.field != "burst" || !r.bad["rate"]) {
			r.refuse(w.field, r.lines[w.field], w.err)
		}
	}
	if r.bad["name"] || r.bad["hash"] {
		keys = nil
	} else if field, err := unlike(before, keys); err != nil {
		r.refuse(field, r.lines[field], err)
	}
	return keys, r.sorted()
}

// unlike refuses the keys of an entry that is called as another one, or has a key of another one. It tells which field that is.
func unlike(keys, more []*key) (field string, err error) {
	for _, other := range keys {
		if other.Name == more[0].Name {
			return "name", errors.New("another key has this name; callers are told apart by it: two keys of one caller are one entry, with a list as hash")
		}
		if slices.ContainsFunc(more, func(k *key) bool { return k.hash == other.hash }) {
			return "hash", fmt.Errorf("it has the hash of key %q; make a key for each caller", other.Name)
		}
	}
	return "", nil
}

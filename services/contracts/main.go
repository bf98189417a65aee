package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// makers make the documents. Each returns what files are to have, by their paths below the root of the repository.
var makers = []func(root string) (map[string][]byte, error){eventDocuments, restDocuments}

func main() {
	check := flag.Bool("check", false, "write nothing, fail where a document is not current")
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "contracts:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	for _, makeAll := range makers {
		files, err := makeAll(root)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if err := put(filepath.Join(root, filepath.FromSlash(name)), files[name], check); err != nil {
				return err
			}
		}
	}
	return nil
}

func put(path string, text []byte, check bool) error {
	is, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(is, text):
		return nil
	case check:
		return fmt.Errorf("%s is not current; go run ./services/contracts makes it", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

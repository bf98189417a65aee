package client

import (
	"iter"
	"net/url"
	"strconv"
)

// query makes the query of a list: names and values in turn, without those that are empty.
func query(pageSize int, cursor string, pairs ...string) string {
	values := url.Values{}
	if pageSize != 0 {
		pairs = append(pairs, "limit", strconv.Itoa(pageSize))
	}
	pairs = append(pairs, "cursor", cursor)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// walk goes through the pages of a list.
func walk[T any](cursor string, read func(cursor string) (page []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := cursor; ; {
			page, next, err := read(cursor)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if cursor = next; cursor == "" {
				return
			}
		}
	}
}

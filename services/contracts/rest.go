package main

// restDocuments are those of the REST API.
func restDocuments(root string) (map[string][]byte, error) { return nil, nil }

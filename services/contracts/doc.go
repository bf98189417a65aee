// Contracts makes the documents that other teams build on, of the Go types and routes that keep to them, so that they cannot drift:
//
//	go run ./services/contracts
//
// With -check it writes nothing, and fails where a document is not what it would write.
package main

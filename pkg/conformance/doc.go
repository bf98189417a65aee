// Package conformance judges what goes over the wire by an OpenAPI 3.1 document, so that the two cannot drift apart: the tests of an API and its
// fuzzer show every request with its answer to a [Judge].
//
// It is as strict on the server as on the document. An answer has to be described: its status, its headers, its media type, its body. A request
// that the document forbids has to be refused, and one that it allows must not be called malformed; what a schema cannot say is refused
// with 422, or by another status that the document has.
package conformance

// Package documents serves the contracts, on every process: for programs as OpenAPI and AsyncAPI documents, for people as pages. All of it is
// in the binary, so nothing is asked of the network; the pages forbid browsers to.
package documents

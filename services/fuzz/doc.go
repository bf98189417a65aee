// Fuzz sends requests to a running orderflow, made from its OpenAPI document, and judges every answer by that document:
//
//	orderflow up -- fuzz -duration 5m
//
// Some requests are as the document has them, with ids that earlier answers told; others break it in one place or in several. Whatever breaks
// the document in turn, and every error of the server, is told with a curl line that asks for it again. It fails if there was any, or
// if an operation never answered as it does if all is well. It sends to this machine only.
//
// The document is read by kin-openapi, values are made by rapid; -seed makes the same ones again, though what is answered depends on what was
// answered before.
package main

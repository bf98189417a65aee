// Package openapi describes the routes of a REST API by an OpenAPI 3.1 document. What is served and what is said of it are the same values,
// so nothing can be told that is not there, and nothing be there that is not told.
//
// What every operation has in common is added here, once: who may call it, the problems that come before a handler, the headers of limits.
package openapi

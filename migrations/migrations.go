// Package migrations holds the database's schemas as numbered SQL: one folder for each service, and in flow what the runtime
// of reactions needs in every one of them. A file that was released is never changed; a change is a new file.
package migrations

import "embed"

// Files holds the folders.
//
//go:embed flow orders payment inventory shipping
var Files embed.FS

// Flow is the folder that is applied to the schema of every service, before its own.
const Flow = "flow"

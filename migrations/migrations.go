// Package migrations holds the database's schemas as numbered SQL: one folder for each service, in flow what the runtime
// of reactions needs in every one of them, and in dlq the history of what operators do with dead letters. A file that was
// released is never changed; a change is a new file.
//
// Migrations only add: a table, an index, a column that is nullable or has a default. While a release is rolled out, or after it was
// taken back, the version before works on the migrated schema, and is started on it: it warns and goes on. What has to go is taken
// away by a later release, when no version that knows it can run any more.
package migrations

import "embed"

// Files holds the folders.
//
//go:embed flow orders payment inventory shipping dlq
var Files embed.FS

// Flow is the folder that is applied to the schema of every service, before its own.
const Flow = "flow"

// DLQ is the folder of the schema in which it is written down what operators do with dead letters.
const DLQ = "dlq"

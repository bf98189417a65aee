//go:build !unix

package dlq

import "os"

// lock does nothing where there is no flock: two that write to one file are not told of each other.
func lock(*os.File) error { return nil }

package postgres

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// Progress is how far the migrations of a folder have come in a schema.
type Progress struct {
	Folder         string
	Applied, Known int64 // the last one that was applied, and the last one that the program has
}

// ReadProgress tells how far Migrate has come with a folder, and changes nothing.
func ReadProgress(ctx context.Context, tx pgx.Tx, files fs.FS, schema, folder string) (Progress, error) {
	p := Progress{Folder: folder}
	scripts, err := fs.ReadDir(files, folder)
	if err != nil {
		return p, err
	}
	for _, script := range scripts {
		if number, err := goose.NumericComponent(script.Name()); err == nil {
			p.Known = max(p.Known, number)
		}
	}
	table := pgx.Identifier{schema, folder + "_migrations"}.Sanitize()
	if err := tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+table).Scan(&p.Applied); err != nil {
		return p, fmt.Errorf("read how far schema %q was migrated: %w", schema, err)
	}
	return p, nil
}

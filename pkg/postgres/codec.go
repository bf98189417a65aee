package postgres

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// registerCodecs lets the types that set-based statements are made of travel without detours. The driver takes uuid.UUID for a
// driver.Valuer and a sql.Scanner and goes by way of its text, and it puts each element of an array into an interface and a buffer
// that grows step by step: together that was a fifth of the program's CPU time under load.
func registerCodecs(m *pgtype.Map) {
	id := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}}
	m.RegisterType(id)
	m.RegisterType(&pgtype.Type{Name: "_uuid", OID: pgtype.UUIDArrayOID, Codec: arrayCodec[uuid.UUID]{
		ArrayCodec: &pgtype.ArrayCodec{ElementType: id},
		size:       func(id uuid.UUID) int { return len(id) },
		put:        func(buf []byte, id uuid.UUID) []byte { return append(buf, id[:]...) },
	}})
	text, _ := m.TypeForOID(pgtype.TextOID)
	m.RegisterType(&pgtype.Type{Name: "_text", OID: pgtype.TextArrayOID, Codec: arrayCodec[string]{
		ArrayCodec: &pgtype.ArrayCodec{ElementType: text},
		size:       func(s string) int { return len(s) },
		put:        func(buf []byte, s string) []byte { return append(buf, s...) },
	}})
}

// uuidCodec is for uuid.UUID.
type uuidCodec struct{ pgtype.UUIDCodec }

// PlanEncode implements pgtype.Codec.
func (c uuidCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return encodeUUID{}
	}
	return c.UUIDCodec.PlanEncode(m, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c uuidCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return scanUUID{}
	}
	return c.UUIDCodec.PlanScan(m, oid, format, target)
}

type encodeUUID struct{}

// Encode implements pgtype.EncodePlan.
func (encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	id := value.(uuid.UUID)
	return append(buf, id[:]...), nil
}

type scanUUID struct{}

// Scan implements pgtype.ScanPlan.
func (scanUUID) Scan(src []byte, target any) error {
	if len(src) != len(uuid.UUID{}) { // NULL has no bytes
		return fmt.Errorf("cannot scan a uuid of %d bytes", len(src))
	}
	copy(target.(*uuid.UUID)[:], src)
	return nil
}

// arrayCodec is for slices of one type of element, whose binary form is of a size that is known before, and never NULL.
type arrayCodec[E any] struct {
	*pgtype.ArrayCodec
	size func(E) int
	put  func([]byte, E) []byte
}

// PlanEncode implements pgtype.Codec.
func (c arrayCodec[E]) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.([]E); ok && format == pgtype.BinaryFormatCode {
		return c
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// Encode implements pgtype.EncodePlan, by the format of Postgres's array_recv (src/backend/utils/adt/arrayfuncs.c), each field of four
// bytes: the number of dimensions, whether there are NULLs, and the type of the elements; length and lower bound of the
// dimension; the length of each element, and its bytes.
func (c arrayCodec[E]) Encode(value any, buf []byte) ([]byte, error) {
	elements := value.([]E)
	total := 5 * 4
	for _, e := range elements {
		total += 4 + c.size(e)
	}
	buf = slices.Grow(buf, total)
	header := []uint32{1, 0, c.ElementType.OID, uint32(len(elements)), 1}
	if len(elements) == 0 {
		header = []uint32{0, 0, c.ElementType.OID}
	}
	for _, field := range header {
		buf = binary.BigEndian.AppendUint32(buf, field)
	}
	for _, e := range elements {
		buf = binary.BigEndian.AppendUint32(buf, uint32(c.size(e)))
		buf = c.put(buf, e)
	}
	return buf, nil
}

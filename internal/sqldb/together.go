package sqldb

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// maxRoom bounds what a courier keeps for the next batch.
const maxRoom = 1 << 20

// courier sends the statements of a batch in one round trip, with the values
// encoded into memory that it keeps. A ledger's batch has a thousand values:
// through pgx.Batch each is looked up and allocated by itself, which was a third
// of all the memory that a model call allocated.
type courier struct {
	values  [][]byte
	formats []int16
	bytes   []byte // what values point into
	room    []byte // for the messages themselves
	sent    int    // bytes of messages of this batch, about
}

var couriers = sync.Pool{New: func() any { return &courier{bytes: make([]byte, 0, 1<<10)} }}

// suits reports whether the batch has only values that a courier encodes.
func suits(batch []queued) bool {
	for i := range batch {
		for _, v := range batch[i].args {
			switch v.(type) {
			case nil, string, int64, int, bool, []byte:
			default:
				return false
			}
		}
	}
	return true
}

// send runs batch in the open transaction of conn and returns the first error
// of a statement or of a check.
func (c *courier) send(ctx context.Context, conn *pgx.Conn, batch []queued) (err error) {
	statements := make([]*pgconn.StatementDescription, len(batch))
	for i := range batch {
		if statements[i], err = conn.Prepare(ctx, nameOf(batch[i].query), batch[i].query); err != nil {
			return err
		}
	}
	p := conn.PgConn().StartPipeline(ctx)
	defer func() {
		if closing := p.Close(); err == nil {
			err = closing // else the first error is the one that explains
		}
	}()
	c.sent = 0
	own := &space{room: c.room}
	conn.PgConn().Frontend().Send(own)
	for i := range batch {
		c.encode(statements[i], batch[i].args)
		p.SendQueryStatement(statements[i], c.values, c.formats, nil)
	}
	c.keep()
	err = p.Sync()
	conn.PgConn().Frontend().Send(&space{room: own.before}) // it keeps a small buffer that it has sent
	if err != nil {
		return err
	}
	for i := range batch {
		rows, err := changed(p)
		if err != nil {
			return err
		}
		if err := batch[i].check(rows); err != nil {
			return err
		}
	}
	return nil
}

// names are of prepared statements, by their text. The driver has names of its
// own, and takes statements away that it has not used for long.
var names sync.Map

func nameOf(query string) string {
	if name, ok := names.Load(query); ok {
		return name.(string) //nolint:forcetypeassert // only stored here
	}
	sum := sha256.Sum256([]byte(query))
	name := "queued_" + hex.EncodeToString(sum[:16])
	names.Store(query, name)
	return name
}

// changed reads the answer to one statement.
func changed(p *pgconn.Pipeline) (rows int64, err error) {
	got, err := p.GetResults()
	if err != nil {
		return 0, err
	}
	r, ok := got.(*pgconn.ResultReader)
	if !ok {
		return 0, fmt.Errorf("the database answers a statement with %T", got)
	}
	tag, err := r.Close()
	return tag.RowsAffected(), err
}

// encode turns args into values and formats: as text, or for the usual integers
// and booleans as PostgreSQL keeps them.
func (c *courier) encode(st *pgconn.StatementDescription, args []any) {
	c.values, c.formats, c.bytes = c.values[:0], c.formats[:0], c.bytes[:0]
	for i, v := range args {
		var oid uint32
		if i < len(st.ParamOIDs) {
			oid = st.ParamOIDs[i]
		}
		from, format := len(c.bytes), int16(pgtype.TextFormatCode)
		switch v := v.(type) {
		case nil:
			c.add(nil, format)
			continue
		case string:
			c.bytes = append(c.bytes, v...)
		case int64:
			format = c.integer(v, oid)
		case int:
			format = c.integer(int64(v), oid)
		case bool:
			format = c.boolean(v, oid)
		case []byte:
			if v == nil {
				c.add(nil, format)
				continue
			}
			if oid == pgtype.ByteaOID {
				format = pgtype.BinaryFormatCode
			}
			c.bytes = append(c.bytes, v...)
		}
		c.add(c.bytes[from:len(c.bytes):len(c.bytes)], format)
	}
	const perMessage, perValue = 96, 6
	c.sent += perMessage + perValue*len(args) + len(c.bytes)
}

func (c *courier) add(value []byte, format int16) {
	c.values, c.formats = append(c.values, value), append(c.formats, format)
}

func (c *courier) integer(v int64, oid uint32) int16 {
	if oid == pgtype.Int8OID {
		c.bytes = binary.BigEndian.AppendUint64(c.bytes, uint64(v)) //nolint:gosec // two's complement is what is wanted
		return pgtype.BinaryFormatCode
	}
	c.bytes = strconv.AppendInt(c.bytes, v, 10)
	return pgtype.TextFormatCode
}

func (c *courier) boolean(v bool, oid uint32) int16 {
	if oid != pgtype.BoolOID {
		c.bytes = strconv.AppendBool(c.bytes, v)
		return pgtype.TextFormatCode
	}
	b := byte(0)
	if v {
		b = 1
	}
	c.bytes = append(c.bytes, b)
	return pgtype.BinaryFormatCode
}

// keep makes the room for the next batch as large as this one needed.
func (c *courier) keep() {
	if need := c.sent + c.sent/4; need > cap(c.room) && need <= maxRoom {
		c.room = make([]byte, 0, need)
	}
}

// space is a message without bytes of its own: it moves what waits to be sent
// into a buffer with room for a batch. The connection would grow its own anew,
// by doubling, for every batch.
type space struct {
	room   []byte
	before []byte // the buffer it took the place of
}

// Frontend implements pgproto3.FrontendMessage.
func (*space) Frontend() {}

// Decode implements pgproto3.Message.
func (*space) Decode([]byte) error { return errors.ErrUnsupported }

// Encode implements pgproto3.Message.
func (s *space) Encode(waiting []byte) ([]byte, error) {
	if len(waiting) > cap(s.room) {
		return waiting, nil
	}
	s.before = waiting[:0]
	return append(s.room[:0], waiting...), nil
}

var _ pgproto3.FrontendMessage = (*space)(nil)

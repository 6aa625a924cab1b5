package usage

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// shape is what the calls of a batch often have in common, so that a statement
// sends it once for all its rows.
type shape struct {
	clientID, modelID, vendorModel, provider, operation, status, ending string
	stream                                                              bool
	source                                                              string
	suspect                                                             bool
	pricing                                                             string
	plain                                                               bool // the counts of rare are 0
}

// The columns of a record: those of its shape, those of each row, and the
// counts that few calls have.
const (
	shapeColumns = `client_id, model_id, vendor_model, provider, operation, status, ending, stream, source, suspect, pricing`
	rowColumns   = `id, request_id, user_id, key_id, input, cache_read, cache_write, output, reasoning,
		charged, cost_pico, duration_ms, first_token_ms, at`
	rareColumns = `cache_write_long, image_input, audio_input, audio_output, image_output,
		images, audio_seconds, characters, server_tool_calls, requests`

	shapeWidth, rowWidth, rareWidth = 11, 14, 10
)

// maxRowsBits bounds a statement to 2^maxRowsBits rows. The texts exist for
// powers of two, so that there are few to prepare.
const maxRowsBits = 6

// insertPlain and insertAny are the statements for records without and with
// rare counts, by the power of two of their rows.
var insertPlain, insertAny = insertTexts(true), insertTexts(false)

func insertTexts(plain bool) (texts [maxRowsBits + 1]string) {
	for bits := range texts {
		var b strings.Builder
		b.WriteString("INSERT INTO usage_record (" + shapeColumns + ", " + rowColumns + ", " + rareColumns + ") VALUES ")
		next := shapeWidth
		for i := range 1 << bits {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(")
			for k := 1; k <= shapeWidth; k++ {
				b.WriteString("$" + strconv.Itoa(k) + ", ")
			}
			for k := range rowWidth + rareWidth {
				if k > 0 {
					b.WriteString(", ")
				}
				if plain && k >= rowWidth {
					b.WriteString("0")
					continue
				}
				next++
				b.WriteString("$" + strconv.Itoa(next))
			}
			b.WriteString(")")
		}
		texts[bits] = b.String()
	}
	return texts
}

// insert writes entries, all or none when ctx carries a transaction. Within
// one that queues statements they are sent later (sqldb.DB.Queue).
func (s store) insert(ctx context.Context, entries []Entry) error {
	largest := maxRowsBits
	if s.db.Engine() == sqldb.SQLite {
		largest = 0 // there is no round trip to save
	}
	shapes, order := shapesOf(entries)
	for _, sh := range order {
		of := shapes[sh]
		for len(of) > 0 {
			bits := 0
			for bits < largest && 2<<bits <= len(of) {
				bits++
			}
			if err := s.insertRows(ctx, &sh, entries, of[:1<<bits], bits); err != nil {
				return err
			}
			of = of[1<<bits:]
		}
	}
	return nil
}

// insertRows writes 2^bits entries of one shape, given by their indices.
func (s store) insertRows(ctx context.Context, sh *shape, entries []Entry, of []int, bits int) error {
	text, width := insertAny[bits], rowWidth+rareWidth
	if sh.plain {
		text, width = insertPlain[bits], rowWidth
	}
	args := make([]any, 0, shapeWidth+width*len(of))
	args = append(args, sh.clientID, sh.modelID, sh.vendorModel, sh.provider, sh.operation, sh.status, sh.ending, sh.stream, sh.source, sh.suspect, sh.pricing)
	for _, i := range of {
		e := &entries[i]
		c := &e.Counts
		args = append(args, e.ID, e.RequestID, e.UserID, e.KeyID, c.Input, c.CacheRead, c.CacheWrite, c.Output, c.Reasoning,
			int64(e.Charged), e.CostPico, e.DurationMS, e.FirstTokenMS, e.At.UnixMicro())
		if !sh.plain {
			args = append(args, c.CacheWriteLong, c.ImageInput, c.AudioInput, c.AudioOutput, c.ImageOutput,
				c.Images, c.AudioSeconds, c.Characters, c.ServerToolCalls, c.Requests)
		}
	}
	check := func(rows int64) error {
		if rows != int64(len(of)) {
			return fmt.Errorf("write usage: %d rows instead of %d", rows, len(of))
		}
		return nil
	}
	if err := s.db.Queue(ctx, check, text, args...); err != nil {
		return fmt.Errorf("write usage: %w", err)
	}
	return nil
}

// shapesOf returns the indices of entries by their shape, and the shapes in the
// order in which they come first.
func shapesOf(entries []Entry) (shapes map[shape][]int, order []shape) {
	shapes = make(map[shape][]int, 1)
	var pricing string
	var scratch []byte
	for i := range entries {
		e := &entries[i]
		if scratch = appendRate(scratch[:0], *e); !bytes.Equal(scratch, []byte(pricing)) {
			pricing = string(scratch)
		}
		c := &e.Counts
		sh := shape{
			clientID: e.ClientID, modelID: e.ModelID, vendorModel: e.VendorModel, provider: e.Provider, operation: e.Operation,
			status: e.Status, ending: e.Ending, stream: e.Stream, source: e.Source, suspect: e.Suspect, pricing: pricing,
			plain: c.CacheWriteLong|c.ImageInput|c.AudioInput|c.AudioOutput|c.ImageOutput|
				c.Images|c.AudioSeconds|c.Characters|c.ServerToolCalls|c.Requests == 0,
		}
		if _, known := shapes[sh]; !known {
			order = append(order, sh)
		}
		shapes[sh] = append(shapes[sh], i)
	}
	return shapes, order
}

package privacy

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/personal"
)

// archive writes the ZIP of what is known about p.
func (s *Service) archive(ctx context.Context, w io.Writer, p personal.Person) error {
	z := zip.NewWriter(w)
	now := s.Now()
	if err := readme(z, now); err != nil {
		return err
	}
	for _, form := range []sheets{&jsonSheets{}, &csvSheets{}} {
		form.to(z, now)
		for _, part := range s.Parts {
			if err := part.Export(ctx, p, form); err != nil {
				return err
			}
		}
		if err := form.end(); err != nil {
			return err
		}
	}
	return z.Close()
}

func readme(z *zip.Writer, now time.Time) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: "README.txt", Method: zip.Deflate, Modified: now})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, `This is everything that Rephlo knew about you on `+now.UTC().Format(time.RFC1123)+`.

The folders json and csv have the same tables: json for programs, csv for
spreadsheets. Times are in UTC. Credits are printed exactly.

What is not in here, because it would let somebody act as you: passwords, keys,
tokens and their hashes. What you ask models, and what they answer, is not kept.
`)
	return err
}

// sheets is a form in which sheets are written.
type sheets interface {
	personal.Sheets
	to(z *zip.Writer, now time.Time)
	end() error
}

// entries is what both forms share.
type entries struct {
	z     *zip.Writer
	now   time.Time
	names map[string]bool
	out   *bufio.Writer
}

func (e *entries) to(z *zip.Writer, now time.Time) { e.z, e.now, e.names = z, now, map[string]bool{} }

func (e *entries) begin(folder, name, ext string) error {
	if e.names[name] {
		return fmt.Errorf("two sheets are called %s", name)
	}
	e.names[name] = true
	w, err := e.z.CreateHeader(&zip.FileHeader{Name: folder + "/" + name + ext, Method: zip.Deflate, Modified: e.now})
	e.out = bufio.NewWriter(w)
	return err
}

// jsonSheets writes arrays of objects, one a line.
type jsonSheets struct {
	entries
	columns [][]byte // with the quotes and the colon
	rows    int
}

// Begin implements personal.Sheets.
func (j *jsonSheets) Begin(name string, columns []string) error {
	if err := j.end(); err != nil {
		return err
	}
	j.columns, j.rows = nil, 0
	for _, c := range columns {
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		j.columns = append(j.columns, append(b, ':'))
	}
	return j.begin("json", name, ".json")
}

// Row implements personal.Sheets.
func (j *jsonSheets) Row(values []any) error {
	if len(values) != len(j.columns) {
		return fmt.Errorf("a row of %d values for %d columns", len(values), len(j.columns))
	}
	open := "[\n{"
	if j.rows > 0 {
		open = ",\n{"
	}
	j.rows++
	_, _ = j.out.WriteString(open) // its error stays for Flush
	for i, v := range values {
		if i > 0 {
			_ = j.out.WriteByte(',')
		}
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("column %s: %w", j.columns[i], err)
		}
		_, _ = j.out.Write(j.columns[i])
		_, _ = j.out.Write(b)
	}
	return j.out.WriteByte('}')
}

func (j *jsonSheets) end() error {
	if j.out == nil {
		return nil
	}
	closing := "\n]\n"
	if j.rows == 0 {
		closing = "[]\n"
	}
	_, _ = j.out.WriteString(closing)
	out := j.out
	j.out = nil
	return out.Flush()
}

// csvSheets writes tables with a line of names (RFC 4180).
type csvSheets struct {
	entries
	w *csv.Writer
}

// Begin implements personal.Sheets.
func (c *csvSheets) Begin(name string, columns []string) error {
	if err := c.end(); err != nil {
		return err
	}
	if err := c.begin("csv", name, ".csv"); err != nil {
		return err
	}
	c.w = csv.NewWriter(c.out)
	return c.w.Write(columns)
}

// Row implements personal.Sheets.
func (c *csvSheets) Row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = cell(v)
	}
	return c.w.Write(cells)
}

func (c *csvSheets) end() error {
	if c.w == nil {
		return nil
	}
	c.w.Flush()
	err := c.w.Error()
	c.w = nil
	if err != nil {
		return err
	}
	return c.out.Flush()
}

// cell is v as a spreadsheet reads it. Text that a spreadsheet would take for a
// formula gets an apostrophe before it.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case json.RawMessage:
		return plain(string(v))
	case string:
		return plain(v)
	}
	return plain(fmt.Sprint(v))
}

func plain(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r") {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return "'" + text
		}
	}
	return text
}

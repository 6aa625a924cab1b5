package credit_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// table is one that somebody may change behind the ledger's back.
type table struct {
	name    string
	key     []string // what finds a row
	columns []string // what is changed in it: all that Verify answers for
	also    []string // what else a new row needs
	where   string
	noAdd   bool
	// place returns what a finding must name, any of these.
	place func(r row) []string
}

// row is one of a table, by column.
type row map[string]any

func (r row) int(column string) int64 { return r[column].(int64) }
func (r row) text(column string) string {
	if b, ok := r[column].([]byte); ok {
		return string(b)
	}
	return r[column].(string)
}

// A change of a transfer shows in its batch, of which there is one.
var tampered = []table{
	{
		name: "credit_transfer", key: []string{"lane", "seq"},
		columns: []string{"lane", "seq", "kind", "user_id", "grant_id", "amount", "ref", "part", "cause", "actor", "at"},
	},
	{
		name: "credit_batch", key: []string{"lane", "batch"}, columns: []string{"lane", "batch", "first_seq", "last_seq", "prev", "root", "hash", "at"},
		place: func(r row) []string {
			lane, batch := r.int("lane"), r.int("batch")
			return []string{
				fmt.Sprintf("lane %d batch %d ", lane, batch), fmt.Sprintf("lane %d: ", lane), fmt.Sprintf(" follow batch %d ", batch),
				fmt.Sprintf("lane %d seq %d is in no batch", lane, r.int("first_seq")), fmt.Sprintf("(seq %d to %d)", r.int("first_seq"), r.int("last_seq")),
			}
		},
	},
	{
		name: "credit_lane", key: []string{"lane"}, columns: []string{"batch", "seq", "hash", "issued"}, noAdd: true,
		where: " WHERE seq > 0", // an empty one may come and go
		place: func(r row) []string {
			return []string{fmt.Sprintf("lane %d: its head", r.int("lane")), fmt.Sprintf("lane %d says", r.int("lane")), fmt.Sprintf("lane %d has transfers", r.int("lane"))}
		},
	},
	{
		name: "credit_grant", key: []string{"id"}, columns: []string{"id", "user_id", "ref", "credited", "debited", "leased"},
		also:  []string{"source", "priority", "granted_at", "expires_at"},
		place: func(r row) []string { return []string{credit.GrantID(r.int("id")).String()} },
	},
	{
		name: "credit_lease", key: []string{"lane", "grant_id"}, columns: []string{"grant_id", "amount", "held", "spent"},
		place: func(r row) []string { return []string{credit.GrantID(r.int("grant_id")).String()} },
	},
	{
		name: "credit_hold", key: []string{"ref"}, columns: []string{"ref", "lane", "user_id", "amount"}, also: []string{"renewed_at", "journal"},
		place: func(r row) []string { return []string{"call " + r.text("ref")} },
	},
	{
		name: "credit_root", key: []string{"day"}, columns: []string{"day", "heads", "prev", "root", "key_id", "signature"},
		place: func(r row) []string { // the day, or the next one, which names the root before it
			day := time.Unix(r.int("day")*86400, 0).UTC()
			return []string{day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)}
		},
	},
	{
		name: "credit_root_key", key: []string{"no"}, columns: []string{"no", "id", "public", "signature"}, noAdd: true,
		place: func(r row) []string { return []string{fmt.Sprintf("signing key %d", r.int("no")), r.text("id")} },
	},
	{
		name: "test_record", key: []string{"call_id"}, columns: []string{"call_id", "charged"}, where: " WHERE charged > 0",
		place: func(r row) []string { return []string{"call " + r.text("call_id")} },
	},
}

// tamper makes random changes of what is stored.
type tamper struct {
	*rand.Rand
	rows    map[string][]row
	batches []row
}

// change is one of them: the statements, and what a finding must name.
type change struct {
	what  string
	texts []string
	args  [][]any
	want  []string
}

func (c *change) do(text string, args ...any) {
	c.texts, c.args = append(c.texts, text), append(c.args, args)
}

func match(t table, r row, from int) (text string, args []any) {
	var parts []string
	for i, k := range t.key {
		parts = append(parts, fmt.Sprintf("%s = $%d", k, from+i))
		args = append(args, r[k])
	}
	return " WHERE " + strings.Join(parts, " AND "), args
}

func (m *tamper) places(t table, r row) []string {
	if t.place != nil {
		return t.place(r)
	}
	for _, b := range m.batches { // a transfer: its batch
		if b["lane"] == r["lane"] && r.int("seq") >= b.int("first_seq") && r.int("seq") <= b.int("last_seq") {
			return []string{fmt.Sprintf("lane %d batch %d ", b.int("lane"), b.int("batch"))}
		}
	}
	return []string{"a transfer outside every batch"}
}

// next returns a change; ok is false when it would change nothing.
func (m *tamper) next() (c change, ok bool) {
	t := tampered[m.IntN(len(tampered))]
	rows := m.rows[t.name]
	r := rows[m.IntN(len(rows))]
	c.want = m.places(t, r)
	where, args := match(t, r, 1)
	switch op := m.IntN(10); {
	case op < 6:
		column := t.columns[m.IntN(len(t.columns))]
		value, ok := m.other(rows, r, column)
		if t.name == "credit_lane" && column == "batch" {
			value = r.int("batch") - 1 - m.Int64N(r.int("batch")) // batches without transfers leave no trace
		}
		c.what = fmt.Sprintf("%s of %v becomes %v in %s", column, args, value, t.name)
		if t.place != nil { // it may be named as what it has become
			fresh := maps.Clone(r)
			fresh[column] = value
			c.want = append(c.want, t.place(fresh)...)
		}
		where, args := match(t, r, 2)
		c.do("UPDATE "+t.name+" SET "+column+" = $1"+where, append([]any{value}, args...)...)
		return c, ok
	case op == 6:
		c.what = fmt.Sprintf("%v of %s is deleted", args, t.name)
		c.do("DELETE FROM "+t.name+where, args...)
		// The last root has no successor that misses it.
		return c, t.name != "credit_root" || r["day"] != rows[len(rows)-1]["day"]
	case op == 7 && !t.noAdd:
		return m.added(t, rows, r)
	default:
		return m.swapped(t, rows, r)
	}
}

// added inserts a copy of r under another key.
func (m *tamper) added(t table, rows []row, r row) (c change, ok bool) {
	fresh := maps.Clone(r)
	for _, k := range t.key[len(t.key)-1:] {
		fresh[k], _ = m.other(rows, r, k)
	}
	switch t.name {
	case "credit_transfer":
		fresh["ref"] = "call_new"
	case "credit_grant":
		fresh["ref"] = "new"
	case "credit_batch":
		fresh["first_seq"] = r.int("last_seq") + 1_000_000
		fresh["last_seq"] = fresh["first_seq"]
	case "credit_lease":
		fresh["amount"], fresh["held"], fresh["spent"] = int64(1), int64(0), int64(0)
	}
	var names, marks []string
	var args []any
	for i, k := range slices.Concat(t.key, slices.DeleteFunc(slices.Concat(t.columns, t.also), func(k string) bool { return slices.Contains(t.key, k) })) {
		names, marks, args = append(names, k), append(marks, fmt.Sprintf("$%d", i+1)), append(args, fresh[k])
	}
	c.what = fmt.Sprintf("%v is added to %s", args, t.name)
	c.do("INSERT INTO "+t.name+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...)
	if c.want = m.places(t, fresh); t.place == nil {
		c.want = append(c.want, fmt.Sprintf("lane %d seq %d ", fresh.int("lane"), fresh.int("seq")))
	}
	return c, true
}

// swapped exchanges one column of two rows, which is also how two rows change
// places.
func (m *tamper) swapped(t table, rows []row, r row) (c change, ok bool) {
	o := rows[m.IntN(len(rows))]
	column := t.columns[m.IntN(len(t.columns))]
	rest := func(r row) string {
		text := ""
		for _, k := range t.columns {
			if k != column {
				text += fmt.Sprint(r[k], "|")
			}
		}
		return text
	}
	if same(r[column], o[column]) || rest(r) == rest(o) {
		return c, false
	}
	if t.name == "credit_lane" && column == "batch" {
		return c, false
	}
	c.what = fmt.Sprintf("%s of two rows of %s is swapped", column, t.name)
	c.want = append(m.places(t, r), m.places(t, o)...)
	parking := any(int64(1) << 40)
	if _, is := r[column].(int64); !is {
		parking = r[column]
		switch v := parking.(type) {
		case string:
			parking = v + "~"
		case []byte:
			parking = append(slices.Clone(v), '~')
		}
	}
	whereR, argsR := match(t, r, 2)
	if i := slices.Index(t.key, column); i >= 0 { // the key moves with it
		parked := slices.Clone(argsR)
		parked[i] = parking
		c.do("UPDATE "+t.name+" SET "+column+" = $1"+whereR, append([]any{parking}, argsR...)...)
		whereO, argsO := match(t, o, 2)
		c.do("UPDATE "+t.name+" SET "+column+" = $1"+whereO, append([]any{r[column]}, argsO...)...)
		c.do("UPDATE "+t.name+" SET "+column+" = $1"+whereR, append([]any{o[column]}, parked...)...)
		return c, true
	}
	whereO, argsO := match(t, o, 2)
	c.do("UPDATE "+t.name+" SET "+column+" = $1"+whereR, append([]any{parking}, argsR...)...)
	c.do("UPDATE "+t.name+" SET "+column+" = $1"+whereO, append([]any{r[column]}, argsO...)...)
	c.do("UPDATE "+t.name+" SET "+column+" = $1"+whereR, append([]any{o[column]}, argsR...)...)
	return c, true
}

func same(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// other returns another value for a column of r: a flipped bit, or that of
// another row.
func (m *tamper) other(rows []row, r row, column string) (value any, ok bool) {
	if m.IntN(4) == 0 {
		value = rows[m.IntN(len(rows))][column]
		return value, !same(value, r[column])
	}
	switch v := r[column].(type) {
	case int64:
		return v ^ 1<<m.IntN(45), true
	case string:
		if v == "" {
			return "x", true
		}
		b := []byte(v)
		b[m.IntN(len(b))] ^= 1 << m.IntN(3)
		return string(b), true
	case []byte:
		b := slices.Clone(v)
		b[m.IntN(len(b))] ^= 1 << m.IntN(8)
		return b, true
	}
	return nil, false
}

// load reads all rows that may be changed.
func (m *tamper) load(t *testing.T, db *sqldb.DB) {
	t.Helper()
	m.rows = map[string][]row{}
	for _, tb := range tampered {
		columns := slices.Concat(tb.columns, tb.also)
		for _, k := range tb.key {
			if !slices.Contains(columns, k) {
				columns = append(columns, k)
			}
		}
		rows, err := db.Q(t.Context()).QueryContext(t.Context(), "SELECT "+strings.Join(columns, ", ")+" FROM "+tb.name+tb.where+" ORDER BY "+strings.Join(tb.key, ", "))
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			r := row{}
			for i, c := range columns {
				r[c] = values[i]
			}
			m.rows[tb.name] = append(m.rows[tb.name], r)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(m.rows[tb.name]) == 0 { //nolint:sqlclosecheck // not after the loop
			t.Fatalf("%s: %d rows, %v", tb.name, len(m.rows[tb.name]), err)
		}
	}
	m.batches = m.rows["credit_batch"]
}

package sqldb

import (
	"strconv"
	"strings"
)

// Where gathers the conditions of a list. Its text has only those that are
// asked for: where one text serves all filters, with conditions that an empty
// argument switches off, no engine sees that an index would help. What is
// concatenated are constants of the store; values are arguments. The zero value
// chooses everything.
type Where struct {
	text strings.Builder
	args []any
}

// And adds a condition; each ? in it is the next of args.
func (w *Where) And(condition string, args ...any) {
	if w.text.Len() == 0 {
		w.text.WriteString(" WHERE ")
	} else {
		w.text.WriteString(" AND ")
	}
	for _, v := range args {
		before, after, _ := strings.Cut(condition, "?")
		w.text.WriteString(before + w.Arg(v))
		condition = after
	}
	w.text.WriteString(condition)
}

// Is adds that a column has a value, unless that is empty.
func (w *Where) Is(column, value string) {
	if value != "" {
		w.And(column+" = ?", value)
	}
}

// Below adds that a column is less than a value, unless that is empty: the rest
// of a list that begins with the highest.
func (w *Where) Below(column, value string) {
	if value != "" {
		w.And(column+" < ?", value)
	}
}

// Arg adds an argument of what follows the conditions and returns its place.
func (w *Where) Arg(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

// String is the clause with a blank before it; empty without conditions.
func (w *Where) String() string { return w.text.String() }

// Args are the arguments, in the order of their places.
func (w *Where) Args() []any { return w.args }

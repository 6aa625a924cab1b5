package relay

// Member is a field of the top level of a body that was scanned. Start and End
// are where it begins and ends, its value's end included.
type Member struct {
	Name, Value []byte
	Start, End  int
	ValueStart  int
}

// Members calls f for each field of the top level of body, in order, until f
// returns false. The body must be one that was scanned; the names are without
// their quotes and as they are written.
func Members(body []byte, f func(m Member) bool) {
	w := scanner{b: body}
	c, at := w.at(0)
	if c != '{' {
		return
	}
	m := w.object(at, 0)
	for m.next() {
		start, value := m.start, m.at
		if m.skip(); m.at < 0 {
			return
		}
		if !f(Member{Name: m.name, Value: body[value:m.at], Start: start, End: m.at, ValueStart: value}) {
			return
		}
	}
}

// Rewrite returns body with the fields that drop names left out, others under
// another name, and fields added in front. Nothing else changes. The lists must
// be in the order of the body.
func Rewrite(body []byte, changes []Change, add []byte) []byte {
	_, at := (&scanner{b: body}).at(0)
	open := at + 1
	out := make([]byte, 0, len(body)+len(add)+64)
	out = append(out, body[:open]...)
	out = append(out, add...)
	written := len(add) > 0 // a comma is due before the next field
	next := 0
	Members(body, func(m Member) bool {
		if next < len(changes) && changes[next].Start == m.Start {
			change := changes[next]
			next++
			if change.Name == "" {
				return true
			}
			if written {
				out = append(out, ',')
			}
			out = append(append(append(out, '"'), change.Name...), `":`...)
			out = append(out, m.Value...)
			written = true
			return true
		}
		if written {
			out = append(out, ',')
		}
		out = append(out, body[m.Start:m.End]...)
		written = true
		return true
	})
	return append(out, '}')
}

// Change is what becomes of the field that begins at Start: it is sent under
// Name, or not at all when that is empty.
type Change struct {
	Start int
	Name  string
}

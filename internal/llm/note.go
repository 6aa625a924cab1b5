package llm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of requests that cannot be translated.
var (
	ErrUnsupported = fault.New(fault.Invalid, "unsupported_parameter", "A parameter is not possible with this model.").Final()
	errStrict      = ErrUnsupported.Saying("The request cannot be carried out exactly as it is, and X-Rephlo-Strict forbids to change it.")
)

// Warning is something that could not be carried to the vendor as it was.
type Warning struct {
	Kind  WarningKind
	Param string // in the client's spelling
	To    string // what it became
}

// WarningKind is a word of X-Rephlo-Warnings.
type WarningKind string

// The kinds of warnings.
const (
	Dropped        WarningKind = "dropped"
	Unknown        WarningKind = "unknown" // a field of no dialect
	Adjusted       WarningKind = "adjusted"
	Inlined        WarningKind = "inlined"  // a system message as a user's text
	Emulated       WarningKind = "emulated" // a format by instructions
	SchemaRelaxed  WarningKind = "schema_relaxed"
	ArgumentsRaw   WarningKind = "arguments_raw"   // of a call in the history, no JSON object
	ReasoningLost  WarningKind = "reasoning_lost"  // thoughts of another vendor or account
	SignatureEmpty WarningKind = "signature_empty" // the client did not send it back
)

// String returns w as an item of X-Rephlo-Warnings.
func (w Warning) String() string {
	s := string(w.Kind)
	if w.Param != "" {
		s += `;param=` + quoted(w.Param)
	}
	if w.To != "" {
		s += `;to=` + quoted(w.To)
	}
	return s
}

// quoted makes a string of RFC 8941 section 3.3.3: printable ASCII.
func quoted(text string) string {
	const most = 100
	out := make([]byte, 0, len(text)+2)
	out = append(out, '"')
	for i := 0; i < len(text) && i < most; i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c > '~':
			out = append(out, '?')
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

// maxWarnings is how many go into a header; the rest is counted.
const maxWarnings = 20

// WarningsHeader returns the value of X-Rephlo-Warnings; empty without any.
func WarningsHeader(all ...[]Warning) string {
	var b strings.Builder
	n := 0
	for _, ws := range all {
		for _, w := range ws {
			if n++; n > maxWarnings {
				continue
			}
			if n > 1 {
				b.WriteString(", ")
			}
			b.WriteString(w.String())
		}
	}
	if n > maxWarnings {
		b.WriteString(", more;count=" + strconv.Itoa(n-maxWarnings))
	}
	return b.String()
}

// Notes collects what becomes of a request on its way to one vendor. The first
// refusal counts.
type Notes struct {
	req      *Request
	warnings []Warning
	err      *fault.Error
}

// NewNotes returns notes about r.
func NewNotes(r *Request) *Notes { return &Notes{req: r} }

// Warn notes a warning about a concept.
func (n *Notes) Warn(kind WarningKind, concept, to string) {
	w := Warning{Kind: kind, To: to}
	if concept != "" {
		w.Param = n.req.At(concept)
	}
	if !slices.Contains(n.warnings, w) {
		n.warnings = append(n.warnings, w)
	}
}

// Refuse notes that the vendor cannot do what a concept asks for, and why.
func (n *Notes) Refuse(concept, why string) {
	if n.err == nil {
		n.err = ErrUnsupported.At(n.req.At(concept)).Saying("%s", why)
	}
}

// Lacks notes that the vendor lacks a concept of this class.
func (n *Notes) Lacks(class Class, concept string) {
	switch class {
	case Meaning:
		if n.err == nil {
			name := n.req.At(concept)
			n.err = ErrUnsupported.At(name).Saying("The field %s is not possible with this model. Leave it out, or use a model that takes it.", name)
		}
	case Tuning:
		n.Warn(Dropped, concept, "")
	case Hint:
	}
}

// LacksNumber is Lacks when v is said.
func (n *Notes) LacksNumber(class Class, concept string, v Number) {
	if v != "" {
		n.Lacks(class, concept)
	}
}

// Rest is Lacks for each of the request's extra fields but the ones known.
func (n *Notes) Rest(known ...string) {
next:
	for _, e := range n.req.Extra {
		for _, k := range known {
			if e.Name == k {
				continue next
			}
		}
		n.Lacks(e.Class, e.Name)
	}
}

// Done returns the warnings, or why the request cannot be sent: a *Failure of
// kind Unable, because another vendor may take it.
func (n *Notes) Done() ([]Warning, error) {
	switch {
	case n.err != nil:
		f := Fail(Unable, nil)
		f.Fault = n.err
		return nil, f
	case n.req.Strict && len(n.warnings) > 0:
		return nil, NotStrict(n.warnings)
	}
	return n.warnings, nil
}

// NotStrict is the failure of a request that must be carried out exactly and
// has these warnings.
func NotStrict(warnings []Warning) error {
	f := Fail(Unable, nil)
	f.Fault = errStrict.With("warnings", WarningsHeader(warnings))
	if p := warnings[0].Param; p != "" {
		f.Fault = f.Fault.At(p)
	}
	return f
}

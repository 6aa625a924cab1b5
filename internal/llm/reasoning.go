package llm

// Effort is how much a model is to think, from 1 to 7; 0 is unsaid.
type Effort uint8

// The levels.
const (
	EffortNone Effort = iota + 1
	EffortMinimal
	EffortLow
	EffortMedium
	EffortHigh
	EffortXHigh
	EffortMax
)

var efforts = [...]struct {
	name   string
	budget int64 // tokens sent for the level
	upTo   int64 // largest budget that is this level
}{
	EffortNone:    {"none", 0, 0},
	EffortMinimal: {"minimal", 1024, 1024},
	EffortLow:     {"low", 2048, 4096},
	EffortMedium:  {"medium", 8192, 12288},
	EffortHigh:    {"high", 16384, 24576},
	EffortXHigh:   {"xhigh", 32768, 49152},
	EffortMax:     {"max", 65536, 1<<63 - 1},
}

// String returns the word of the wire; empty for what is unsaid.
func (e Effort) String() string {
	if int(e) >= len(efforts) {
		return ""
	}
	return efforts[e].name
}

// Budget returns the tokens that stand for e where a vendor wants a number.
func (e Effort) Budget() int64 {
	if int(e) >= len(efforts) {
		return 0
	}
	return efforts[e].budget
}

// EffortNamed returns the level of a word, 0 for others.
func EffortNamed(word string) Effort {
	for e := EffortNone; e <= EffortMax; e++ {
		if efforts[e].name == word {
			return e
		}
	}
	return 0
}

// EffortOf returns the level that a budget of thinking tokens stands for.
func EffortOf(budget int64) Effort {
	for e := EffortNone; e < EffortMax; e++ {
		if budget <= efforts[e].upTo {
			return e
		}
	}
	return EffortMax
}

// Reasoning is how the client wants the model to think. The zero value says
// nothing.
type Reasoning struct {
	Effort Effort
	// Budget is the number that the client gave, when it gave one; -1 leaves it
	// to the model.
	Budget int64
	// Adaptive leaves to the model whether it thinks, as Anthropic's adaptive
	// thinking does; Effort says how hard.
	Adaptive bool
	// Show asks for the text of the thoughts: nil is unsaid.
	Show *bool
}

// On reports whether thinking was asked for.
func (r Reasoning) On() bool { return r.Adaptive || r.Budget != 0 || r.Effort > EffortNone }

// Off reports whether thinking was forbidden.
func (r Reasoning) Off() bool { return r.Effort == EffortNone && !r.Adaptive && r.Budget == 0 }

// Level returns the level that was asked for or that the budget stands for; 0
// leaves it to the model.
func (r Reasoning) Level() Effort {
	if r.Effort != 0 || r.Budget <= 0 {
		return r.Effort
	}
	return EffortOf(r.Budget)
}

// Clamp returns the level of a model nearest to e: the next lower one, else the
// lowest. Without levels it is e.
func (e Effort) Clamp(levels []Effort) Effort {
	if len(levels) == 0 {
		return e
	}
	best, lowest := Effort(0), levels[0]
	for _, l := range levels {
		if l <= e && l > best {
			best = l
		}
		lowest = min(lowest, l)
	}
	if best == 0 {
		return lowest
	}
	return best
}

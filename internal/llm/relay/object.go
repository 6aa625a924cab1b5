package relay

import "github.com/rephlo/rephlo/internal/llm"

// UsageOf reads a usage object in OpenAI's form. What is no object is not
// Reported.
func UsageOf(object []byte) llm.Usage {
	var u llm.Usage
	s := scanner{b: object}
	if c, at := s.at(0); c == '{' {
		s.usage(at, 0, &u)
	}
	return u
}

package test

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxWait   = time.Minute
	maxTokens = 1 << 20
)

// script is what a "#test" line asks for.
type script struct {
	delay, interval time.Duration
	tokens          int // -1: not asked
	reasoning       int
	tools           []tool
	json            string
	status          int // of the error
	retry           string
	errorAt         int // 0: a status instead of an answer
	cut, stall      int // 0: never
	bad             string
	badAt           int
	usage           string
	cached          int64
	finish          string
}

type tool struct{ name, arguments string }

var presets = map[string]string{
	"test-slow":       "delay=2s interval=100ms",
	"test-error-429":  "error=429:1",
	"test-cut-stream": "cut=5",
}

// parse separates the script lines of text from the rest. What it does not
// know it ignores.
func parse(model, text string) (s script, rest string) {
	s.tokens = -1
	s.words(presets[model])
	var kept []string
	for line := range strings.Lines(text) {
		if words, ok := strings.CutPrefix(strings.TrimSpace(line), "#test"); ok {
			s.words(words)
			continue
		}
		kept = append(kept, line)
	}
	return s, strings.TrimSpace(strings.Join(kept, ""))
}

func (s *script) words(text string) {
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return
		}
		n := strings.IndexAny(text, "={ \t")
		if n < 0 {
			n = len(text)
		}
		key, rest := text[:n], text[n:]
		value := ""
		if after, ok := strings.CutPrefix(rest, "="); ok {
			value, rest = word(after)
		} else if n == 0 { // a stray brace
			return
		}
		s.set(key, value)
		text = rest
	}
}

// word cuts a value off: up to a space, but a JSON object as a whole.
func word(text string) (value, rest string) {
	n := strings.IndexAny(text, " \t{")
	if n < 0 {
		return text, ""
	}
	if text[n] != '{' {
		return text[:n], text[n:]
	}
	d := jsontext.NewDecoder(strings.NewReader(text[n:]))
	if _, err := d.ReadValue(); err != nil {
		return text, ""
	}
	n += int(d.InputOffset())
	return text[:n], text[n:]
}

func (s *script) set(key, value string) {
	first, at, _ := strings.Cut(value, "@")
	switch key {
	case "delay":
		s.delay = wait(value)
	case "interval":
		s.interval = wait(value)
	case "tokens":
		s.tokens = number(value)
	case "reasoning":
		if s.reasoning = number(value); value == "" {
			s.reasoning = 16
		}
	case "tool":
		name, arguments, _ := strings.Cut(value, ":")
		if arguments == "" {
			arguments = "{}"
		}
		s.tools = append(s.tools, tool{name, arguments})
	case "json":
		s.json = value
	case "error":
		status, retry, _ := strings.Cut(first, ":")
		s.status, s.retry, s.errorAt = number(status), retry, number(at)
	case "cut":
		s.cut = number(value)
	case "stall":
		s.stall = number(value)
	case "bad":
		s.bad, s.badAt = first, max(1, number(at))
	case "usage":
		s.usage = value
	case "cached":
		s.cached = int64(number(value))
	case "finish":
		s.finish = value
	}
}

func wait(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return min(max(d, 0), maxWait)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return min(max(n, 0), maxTokens)
}

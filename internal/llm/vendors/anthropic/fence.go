package anthropic

import "strings"

// fence takes the code fences off a text that comes in pieces: ``` or ```json
// before it and ``` behind it. The zero value is ready.
type fence struct {
	begun bool
	held  string // may be a part of a fence
}

const ticks = "```"

// strip returns what of the text so far can go out.
func (f *fence) strip(text string) string {
	text = f.held + text
	f.held = ""
	if !f.begun {
		trimmed := strings.TrimLeft(text, " \t\r\n")
		switch {
		case len(trimmed) < len(ticks) && strings.HasPrefix(ticks, trimmed):
			f.held = text
			return ""
		case strings.HasPrefix(trimmed, ticks):
			_, rest, ok := strings.Cut(trimmed, "\n")
			if !ok {
				f.held = text
				return ""
			}
			text = rest
		}
		f.begun = true
	}
	// A fence at the end, and the white space around it, wait for what follows.
	end := len(strings.TrimRight(text, " \t\r\n`"))
	text, f.held = text[:end], text[end:]
	return text
}

// rest returns what was held back at the end, unless it is a fence or blank.
func (f *fence) rest() string {
	held := f.held
	if f.held = ""; strings.Contains(held, ticks) || blank(held) {
		return ""
	}
	return held
}

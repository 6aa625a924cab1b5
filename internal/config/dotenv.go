package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxFile bounds the files that are read: settings, secrets, providers.
const maxFile = 1 << 20

// assignment is one NAME=value line of a settings file.
type assignment struct {
	name, value  string
	line, column int // of the value, from 1
}

// parseDotenv reads the format that systemd (EnvironmentFile) and Docker
// (--env-file) share: NAME=value lines, blank lines, and comment lines that
// begin with #. A value may stand in quotes, which are taken off; \" and \\
// are escapes between double quotes. There is no interpolation, no comment
// after a value and no value of several lines, because the two disagree there.
func parseDotenv(file, text string) ([]assignment, Mistakes) {
	var out []assignment
	var wrong Mistakes
	first := map[string]int{} // name to line
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\ufeff"), "\n") {
		number++
		line = strings.TrimSuffix(line, "\r")
		body := strings.TrimLeft(line, " \t")
		if body == "" || body[0] == '#' {
			continue
		}
		column := len(line) - len(body) + 1
		a, problem, at := parseLine(body)
		if problem != "" {
			wrong.add(place(file, number, column+at), "%s", problem)
			continue
		}
		a.line, a.column = number, column+a.column
		if before, ok := first[a.name]; ok {
			wrong.add(place(file, number, column), "%s is set in line %d already; remove one of the two lines", a.name, before)
			continue
		}
		first[a.name] = number
		out = append(out, a)
	}
	return out, wrong
}

func place(file string, line, column int) string {
	return file + ":" + strconv.Itoa(line) + ":" + strconv.Itoa(column)
}

// parseLine reads one line. problem says what is wrong at offset at.
func parseLine(body string) (a assignment, problem string, at int) {
	name, value, ok := strings.Cut(body, "=")
	switch {
	case !utf8.ValidString(body) || strings.ContainsRune(body, 0):
		return a, "the line is not valid UTF-8 text; save the file as UTF-8", 0
	case strings.HasPrefix(body, "export "):
		return a, `remove "export": systemd and Docker do not read it`, 0
	case !ok:
		return a, "write NAME=value", 0
	case !isName(name):
		return a, "before = there must be a name of capital letters, digits and _, without blanks", 0
	}
	a.name, a.column = name, len(name)+1
	trimmed := strings.TrimLeft(value, " \t")
	a.column += len(value) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, " \t")
	if trimmed == "" || trimmed[0] != '"' && trimmed[0] != '\'' {
		a.value = trimmed
		return a, "", 0
	}
	a.value, ok = unquote(trimmed)
	if !ok {
		return a, "the quoted value must end with the same quote at the end of the line", a.column
	}
	a.column++
	return a, "", 0
}

// unquote reads a value in quotes that must end where s ends.
func unquote(s string) (string, bool) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote == '"' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case c == quote:
			return b.String(), i == len(s)-1
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func isName(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

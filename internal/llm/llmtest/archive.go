package llmtest

import (
	"os"
	"strings"
	"testing"
)

// Archive is a test case of several texts in one file: a comment, and behind
// each line "-- name --" the text of that name.
type Archive struct {
	Path    string
	Comment string
	names   []string
	texts   map[string]string
}

// ReadArchive reads the file at path.
func ReadArchive(t testing.TB, path string) *Archive {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a := &Archive{Path: path, texts: map[string]string{}}
	name, text := "", strings.Builder{}
	end := func() {
		if name == "" {
			a.Comment = text.String()
		} else {
			a.Set(name, text.String())
		}
		text.Reset()
	}
	for line := range strings.Lines(string(b)) {
		trimmed := strings.TrimRight(line, "\n")
		if inner, ok := strings.CutPrefix(trimmed, "-- "); ok && strings.HasSuffix(inner, " --") {
			end()
			name = strings.TrimSuffix(inner, " --")
			continue
		}
		text.WriteString(line)
	}
	end()
	return a
}

// Has reports whether there is a text of this name.
func (a *Archive) Has(name string) bool {
	_, ok := a.texts[name]
	return ok
}

// Text returns a text without the line ends around it.
func (a *Archive) Text(name string) string { return strings.Trim(a.texts[name], "\n") }

// Raw returns a text as it stands there.
func (a *Archive) Raw(name string) string { return a.texts[name] }

// Set puts a text in, or replaces it.
func (a *Archive) Set(name, text string) {
	if _, ok := a.texts[name]; !ok {
		a.names = append(a.names, name)
	}
	a.texts[name] = text
}

// Delete takes a text out.
func (a *Archive) Delete(name string) {
	delete(a.texts, name)
	for i, n := range a.names {
		if n == name {
			a.names = append(a.names[:i], a.names[i+1:]...)
			return
		}
	}
}

// Write writes the file anew.
func (a *Archive) Write(t testing.TB) {
	t.Helper()
	var b strings.Builder
	b.WriteString(a.Comment)
	for _, n := range a.names {
		b.WriteString("-- " + n + " --\n" + a.texts[n])
		if text := a.texts[n]; text != "" && !strings.HasSuffix(text, "\n") {
			b.WriteByte('\n')
		}
	}
	if err := os.WriteFile(a.Path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

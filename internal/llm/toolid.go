package llm

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

// Marks of ids that stand for one which the receiver would not take.
const (
	ChatID     = "call_rx_"
	MessagesID = "toolu_rx_"
)

const (
	maxID     = 64
	maxCoded  = 34 // bytes of an id that can be mapped back
	hashedLen = 26
)

var coding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ToolID returns id as a receiver takes it whose ids are [A-Za-z0-9_-]{1,64}.
// Another one is replaced by mark and its coded bytes, so that OriginalID finds
// it without memory; a long one by its hash, alike in call and result.
func ToolID(id, mark string) string {
	switch {
	case plainID(id):
		return id
	case len(id) <= maxCoded:
		return mark + coding.EncodeToString([]byte(id))
	}
	sum := sha256.Sum256([]byte(id))
	return mark + "h0" + strings.ToLower(coding.EncodeToString(sum[:])[:hashedLen])
}

// OriginalID returns the id that ToolID has replaced, or id itself.
func OriginalID(id string) string {
	rest, ok := strings.CutPrefix(id, ChatID)
	if !ok {
		rest, ok = strings.CutPrefix(id, MessagesID)
	}
	if !ok {
		return id
	}
	b, err := coding.DecodeString(rest)
	if err != nil || plainID(string(b)) || len(b) > maxCoded || coding.EncodeToString(b) != rest {
		return id
	}
	return string(b)
}

func plainID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		if !plainByte(id[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// ShortID returns an id of nine letters and digits, as Mistral wants it.
func ShortID(id string) string {
	const n = 9
	if len(id) == n && !strings.ContainsAny(id, "_-") && plainID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return coding.EncodeToString(sum[:])[:n]
}

// MissingID is the id of a call that has none, made of a text that tells its
// answer from others and its position there.
func MissingID(answer string, position int) string {
	sum := sha256.Sum256([]byte(answer + "\x00" + strconv.Itoa(position)))
	return "call_" + strings.ToLower(coding.EncodeToString(sum[:])[:16])
}

// Names replaces the names of tools that a vendor refuses, and finds them
// again. It lives for one call. The zero value is ready.
type Names struct {
	original map[string]string
	free     map[string]bool
}

// Out returns name, or its replacement unless ok.
func (n *Names) Out(name string, ok bool) string {
	if ok {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	short := "t_" + strings.ToLower(coding.EncodeToString(sum[:])[:10])
	if n.original == nil {
		n.original = map[string]string{}
	}
	n.original[short] = name
	return short
}

// Back returns the name that Out has replaced.
func (n *Names) Back(name string) string {
	if o, ok := n.original[name]; ok {
		return o
	}
	return name
}

// PlainName reports whether a tool's name is [A-Za-z0-9_-] and at most most
// bytes long, as OpenAI (64) and Anthropic (128) want it.
func PlainName(name string, most int) bool {
	if name == "" || len(name) > most {
		return false
	}
	for i := range len(name) {
		if !plainByte(name[i]) {
			return false
		}
	}
	return true
}

// Free notes that a function stands for the free-form tool name.
func (n *Names) Free(name string) {
	if n.free == nil {
		n.free = map[string]bool{}
	}
	n.free[name] = true
}

// IsFree reports whether name, as Back returns it, is such a tool.
func (n *Names) IsFree(name string) bool { return n.free[name] }

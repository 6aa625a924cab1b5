package account

import (
	_ "embed" // the list of common passwords
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a password, in characters and bytes.
const (
	minPassword = 8
	maxPassword = 256
)

//go:embed common.txt
var commonText string

// common are the passwords that guessers try first, in lower case.
var common = sync.OnceValue(func() map[string]bool {
	out := map[string]bool{}
	for word := range strings.FieldsSeq(commonText) {
		out[word] = true
	}
	return out
})

// CheckPassword applies the password policy: 8 characters to 256 bytes, no
// composition rules, but nothing that a guesser tries first and nothing made
// of the product's name, the username or the address.
func CheckPassword(password, email, username string) error {
	if !utf8.ValidString(password) {
		return field("password", "it is not valid UTF-8")
	}
	password = norm.NFC.String(password)
	if utf8.RuneCountInString(password) < minPassword {
		return ErrShort
	}
	if len(password) > maxPassword {
		return field("password", "it is longer than 256 bytes")
	}
	lower := strings.ToLower(password)
	// What is left without the digits and signs that people put around a word.
	word := strings.TrimFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) })
	if common()[lower] || common()[word] || repeated(lower) {
		return ErrCommon
	}
	local, _, _ := strings.Cut(emailKey(email), "@")
	for _, own := range []struct{ word, what string }{
		{"rephlo", "the name of this product"}, {usernameKey(username), "your username"}, {local, "your e-mail address"}, {emailKey(email), "your e-mail address"},
	} {
		if lower == own.word || utf8.RuneCountInString(own.word) >= 4 && strings.Contains(lower, own.word) {
			return ErrCommon.Saying("The password contains %s. Choose one that is harder to guess.", own.what)
		}
	}
	return nil
}

// repeated reports whether s is a short unit over and over, such as "abababab".
func repeated(s string) bool {
	for n := 1; n <= 3 && n < len(s); n++ {
		if strings.Repeat(s[:n], len(s)/n+1)[:len(s)] == s {
			return true
		}
	}
	return false
}

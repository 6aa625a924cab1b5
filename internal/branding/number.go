package branding

import (
	"cmp"
	"slices"
	"strings"
)

// number is a version's number, as Semantic Versioning 2.0.0 has it, without
// what it calls build metadata.
type number struct {
	core   [3]string // decimal, without leading zeros
	suffix []string  // empty: a release
}

// parseNumber reads a version's number.
func parseNumber(text string) (number, bool) {
	var n number
	if len(text) > 64 {
		return n, false
	}
	core, suffix, beta := strings.Cut(text, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 || beta && suffix == "" {
		return n, false
	}
	for i, p := range parts {
		if !decimal(p) {
			return n, false
		}
		n.core[i] = p
	}
	if beta {
		n.suffix = strings.Split(suffix, ".")
	}
	for _, p := range n.suffix {
		if p == "" || strings.Trim(p, "0123456789") == "" && !decimal(p) || strings.Trim(p, alphabet) != "" {
			return n, false
		}
	}
	return n, true
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"

func decimal(p string) bool {
	return p != "" && strings.Trim(p, "0123456789") == "" && (p == "0" || p[0] != '0')
}

// compare orders numbers as section 11 of the text does.
func (n number) compare(o number) int {
	for i := range n.core {
		if c := byValue(n.core[i], o.core[i]); c != 0 {
			return c
		}
	}
	if len(n.suffix) == 0 || len(o.suffix) == 0 { // a release is above its betas
		return cmp.Compare(len(o.suffix), len(n.suffix))
	}
	return slices.CompareFunc(n.suffix, o.suffix, func(a, b string) int {
		x, y := strings.Trim(a, "0123456789") == "", strings.Trim(b, "0123456789") == ""
		switch {
		case x && y:
			return byValue(a, b)
		case x:
			return -1
		case y:
			return 1
		}
		return strings.Compare(a, b)
	})
}

func byValue(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }

// older reports whether the version a comes before b; what is no version is
// older than none.
func older(a, b string) bool {
	x, ok := parseNumber(a)
	y, both := parseNumber(b)
	return ok && both && x.compare(y) < 0
}

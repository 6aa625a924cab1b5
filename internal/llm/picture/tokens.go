package picture

// Vendor is whose rule counts.
type Vendor uint8

// The rules.
const (
	OpenAI Vendor = iota
	Anthropic
	Google
)

const (
	// Unknown are the tokens of an image whose size nobody knows: the most that
	// OpenAI's tiles make.
	Unknown = 2805
	// Low are those of one that is wanted in low detail.
	Low = 85
)

// Tokens returns how many tokens a vendor counts for an image at most.
//
//	OpenAI     fitted into 2048 x 2048, its shorter side to 768: 85 and 170 for
//	           each tile of 512 x 512 (guide "Images and vision")
//	Anthropic  fitted into 1568 x 1568: width x height / 750 (guide "Vision")
//	Google     258, above 384 x 384 for each tile of 768 x 768 (guide "Token counting")
func Tokens(v Vendor, img Image, low bool) int64 {
	switch v {
	case Anthropic:
		w, h := fit(img.Width, img.Height, 1568)
		return max(ceil(w*h, 750), 1)
	case Google:
		if img.Width <= 384 && img.Height <= 384 || low {
			return 258
		}
		return 258 * ceil(img.Width, 768) * ceil(img.Height, 768)
	case OpenAI:
	}
	if low {
		return Low
	}
	w, h := fit(img.Width, img.Height, 2048)
	if short := min(w, h); short > 768 {
		w, h = ceil(w*768, short), ceil(h*768, short)
	}
	return 85 + 170*ceil(w, 512)*ceil(h, 512)
}

// fit scales a size down until its longer side is at most most, rounded up.
func fit(w, h, most int64) (int64, int64) {
	long := max(w, h)
	if long <= most {
		return w, h
	}
	return ceil(w*most, long), ceil(h*most, long)
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

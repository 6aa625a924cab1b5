package relay

import "github.com/rephlo/rephlo/internal/llm"

// mostTokens is above any count that can be meant; more would only overflow
// what is calculated from it.
const mostTokens = 1_000_000_000_000

// counts are the numbers of a usage object as the vendor wrote them; -1 is
// absent.
type counts struct {
	prompt, completion, total            int64
	cached, cacheWrite, audioIn, imageIn int64
	reasoning, audioOut, imageOut        int64
	suspect                              bool
}

// usage reads the object at i and returns its end.
func (s *scanner) usage(i, depth int, u *llm.Usage) int {
	c := counts{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, false}
	m := s.object(i, depth)
	for m.next() {
		switch string(m.name) {
		case "prompt_tokens", "input_tokens":
			s.tokens(&m, &c.prompt, &c.suspect)
		case "completion_tokens", "output_tokens":
			s.tokens(&m, &c.completion, &c.suspect)
		case "total_tokens":
			s.tokens(&m, &c.total, &c.suspect)
		case "prompt_cache_hit_tokens", "cached_tokens": // DeepSeek, Moonshot
			s.tokens(&m, &c.cached, &c.suspect)
		case "reasoning_tokens":
			s.tokens(&m, &c.reasoning, &c.suspect)
		case "prompt_tokens_details", "input_tokens_details", "input_token_details": // the last of transcriptions
			s.details(&m, &c, true)
		case "completion_tokens_details", "output_tokens_details":
			s.details(&m, &c, false)
		default:
			m.skip()
		}
	}
	*u = c.classes()
	s.prompted = c.prompt >= 0
	return m.end
}

func (s *scanner) details(m *members, c *counts, input bool) {
	if s.charAt(m.at) != '{' {
		m.skip()
		return
	}
	d := s.object(m.at, m.depth)
	for d.next() {
		switch name := string(d.name); {
		case input && name == "cached_tokens":
			s.tokens(&d, &c.cached, &c.suspect)
		case input && name == "cache_write_tokens":
			s.tokens(&d, &c.cacheWrite, &c.suspect)
		case input && name == "audio_tokens":
			s.tokens(&d, &c.audioIn, &c.suspect)
		case input && name == "image_tokens":
			s.tokens(&d, &c.imageIn, &c.suspect)
		case !input && name == "reasoning_tokens":
			s.tokens(&d, &c.reasoning, &c.suspect)
		case !input && name == "audio_tokens":
			s.tokens(&d, &c.audioOut, &c.suspect)
		case !input && name == "image_tokens":
			s.tokens(&d, &c.imageOut, &c.suspect)
		default:
			d.skip()
		}
	}
	m.at = d.end
}

// tokens reads one count. Of two places for the same one the larger counts.
func (s *scanner) tokens(m *members, n *int64, suspect *bool) {
	start := m.at
	if m.skip(); m.at < 0 {
		return
	}
	v := s.b[start:m.at]
	if string(v) == "null" {
		return
	}
	got, ok := integer(v)
	switch {
	case !ok:
		*suspect = true
		return
	case got < 0:
		got, *suspect = 0, true
	case got > mostTokens:
		got, *suspect = mostTokens, true
	}
	*n = max(*n, got)
}

// classes makes the counts disjoint.
func (c counts) classes() llm.Usage {
	u := llm.Usage{
		Input: max(c.prompt, 0), CacheRead: max(c.cached, 0), CacheWrite: max(c.cacheWrite, 0),
		AudioInput: max(c.audioIn, 0), ImageInput: max(c.imageIn, 0),
		Output: max(c.completion, 0), Reasoning: max(c.reasoning, 0), AudioOutput: max(c.audioOut, 0), ImageOutput: max(c.imageOut, 0),
		Reported: c.prompt >= 0 && c.completion >= 0, Suspect: c.suspect,
	}
	u.Input -= u.CacheRead + u.CacheWrite + u.AudioInput + u.ImageInput
	// xAI counts reasoning beside the completion, others inside; their total
	// tells. Without a total it is inside.
	outside := u.Reasoning > 0 && c.total == max(c.prompt, 0)+u.Output+u.Reasoning
	u.Output -= u.AudioOutput + u.ImageOutput
	if !outside {
		u.Output -= u.Reasoning
	}
	if u.Input < 0 {
		u.Input, u.Suspect = 0, true
	}
	if u.Output < 0 {
		u.Output, u.Suspect = 0, true
	}
	return u
}

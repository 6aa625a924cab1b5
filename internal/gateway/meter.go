package gateway

import (
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/pricing"
)

// meter is how a call is counted that is not counted in tokens.
type meter struct {
	kind  meterKind
	most  pricing.Units // that it can use
	media int64         // tokens of the input beside its text, for those in tokens
}

type meterKind uint8

const (
	inTokens meterKind = iota
	inImages
	inSeconds
	inCharacters
)

// tariff returns how c is counted by the prices p, and those prices with the
// one that c has among several for the same thing.
func (c *call) tariff(p *pricing.Prices) (meter, *pricing.Prices, error) {
	var m meter
	if c.op.meter != nil {
		var err error
		if m, err = c.op.meter(c, p); err != nil {
			return m, nil, err
		}
		if len(p.ImageBy) > 0 {
			one, _ := p.ForImage(c.scan.Size, c.scan.Quality) // without a price it is counted in tokens
			p = &one
		}
	}
	if c.op.meter == nil && p.OnlyUnits() {
		return m, nil, ErrOperation
	}
	if !p.Request.IsZero() {
		m.most.Requests = 1
	}
	return m, p, nil
}

func meterImages(c *call, p *pricing.Prices) (meter, error) {
	if _, ok := p.ForImage(c.scan.Size, c.scan.Quality); ok {
		return meter{kind: inImages, most: pricing.Units{Images: c.scan.N}}, nil
	}
	if p.ImageOutput.IsZero() {
		return meter{}, ErrOperation
	}
	return meter{}, nil
}

// imageOutput is how many tokens an image has at most, by OpenAI's table for
// its image models (guide "Image generation", section "Cost and latency").
func imageOutput(c *call) int64 {
	square := c.scan.Size == "1024x1024"
	switch c.scan.Quality {
	case "low":
		if square {
			return 272
		}
		return 408
	case "medium":
		if square {
			return 1056
		}
		return 1584
	default:
		if square {
			return 4160
		}
		return 6240
	}
}

func meterSpeech(c *call, p *pricing.Prices) (meter, error) {
	if p.Character.IsZero() {
		return meter{}, ErrOperation
	}
	return meter{kind: inCharacters, most: pricing.Units{Characters: c.scan.Characters}}, nil
}

func meterSound(c *call, p *pricing.Prices) (meter, error) {
	seconds, exact := relay.SoundSeconds(c.upload.File)
	c.seconds = seconds
	if exact { // a head may say what is not so
		seconds *= 2
	}
	switch {
	case !p.AudioSecond.IsZero():
		return meter{kind: inSeconds, most: pricing.Units{AudioSeconds: seconds}}, nil
	case !p.AudioInput.IsZero():
		// Ten tokens are a second at OpenAI; twenty leave room.
		return meter{media: max(20*seconds, int64(len(c.upload.File))/100)}, nil
	}
	return meter{}, ErrOperation
}

// measured returns what a call used that u is reported of, by its own meter;
// the second result is false when that is our guess.
func (c *call) measured(u llm.Usage) (pricing.Counts, bool) {
	var n pricing.Counts
	exact := true
	switch c.meter.kind {
	case inTokens:
		n, exact = counts(u), u.Reported
	case inImages:
		n.Images = min(u.Images, c.meter.most.Images)
	case inSeconds:
		if n.AudioSeconds = u.AudioSeconds; n.AudioSeconds == 0 {
			n.AudioSeconds, exact = c.seconds, false
		}
	case inCharacters:
		n.Characters = c.meter.most.Characters
	}
	n.Requests = c.meter.most.Requests
	return n, exact
}

// readSpeech takes any sound for an answer.
func readSpeech(*call, llm.Reply, []byte) (llm.Usage, error) { return llm.Usage{Reported: true}, nil }

func readTranscript(c *call, head llm.Reply, body []byte) (llm.Usage, error) {
	if isJSON(head.ContentType) {
		return relay.ScanAnswer(llm.OpTranscriptions, body)
	}
	return llm.Usage{AudioSeconds: relay.SubtitleSeconds(body)}, nil
}

package gateway

import (
	"sync"

	"github.com/tiktoken-go/tokenizer"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// codec is loaded when it is first needed: it takes a moment and some memory.
var codec = sync.OnceValue(func() tokenizer.Codec {
	c, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil { // the vocabulary is compiled in
		return nil
	}
	return c
})

// countTokens returns how many tokens of o200k text has.
func countTokens(text []byte) int64 {
	if len(text) == 0 {
		return 0
	}
	if c := codec(); c != nil {
		if n, err := c.Count(string(text)); err == nil {
			return int64(n)
		}
	}
	return (int64(len(text)) + 2) / 3
}

// outputTokens counts what a vendor wrote in a stream. Beyond the text that is
// kept, three bytes are a token.
func outputTokens(st interface {
	OutputText() []byte
	OutputBytes() int64
},
) int64 {
	text := st.OutputText()
	return countTokens(text) + (max(st.OutputBytes()-int64(len(text)), 0)+2)/3
}

// answerTokens counts what a vendor wrote in an answer without stream.
func answerTokens(op llm.Op, body []byte) int64 {
	text, size := relay.AnswerText(op, body)
	return countTokens(text) + (max(size-int64(len(text)), 0)+2)/3
}

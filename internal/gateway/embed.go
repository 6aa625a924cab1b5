package gateway

import (
	"io"
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect/google"
	"github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// The methods of Google's path that embed.
const (
	embedMethod = ":embedContent"
	batchMethod = ":batchEmbedContents"
)

// Operations that embed. None has a stream, and none writes tokens.
var (
	opEmbeddings   = &operation{op: llm.OpEmbeddings, path: "/v1/embeddings", word: "embedding", scan: scanJSON, embed: openai.Embeddings{}}
	opEmbedContent = &operation{op: llm.OpEmbedContent, word: "embedding", scan: scanEmbed(false), embed: google.Embed{}}
	opEmbedBatch   = &operation{op: llm.OpEmbedBatch, word: "embedding", scan: scanEmbed(true), embed: google.Embed{Batch: true}}
)

func scanEmbed(batch bool) func(c *call) error {
	return func(c *call) error {
		path := c.r.PathValue("call")
		e, err := relay.ScanEmbed(c.body.b, path[:strings.LastIndexByte(path, ':')], batch)
		c.embeds, c.scan = &e, e.Scan
		return err
	}
}

// embedRequest returns the call in no dialect.
func (c *call) embedRequest() (*llm.EmbedRequest, error) {
	if c.askedEmbed != nil {
		return c.askedEmbed, nil
	}
	r, err := c.op.embed.DecodeEmbed(c.body.b)
	if err != nil {
		return nil, err
	}
	if c.strict() {
		if r.Strict = true; len(r.Warnings) > 0 {
			return nil, llm.NotStrict(r.Warnings)
		}
	}
	c.askedEmbed = r
	return r, nil
}

// embed makes one try at c.route in a dialect that is not the vendor's.
func (c *call) embed(f func(llm.Reply) error) error {
	req, err := c.embedRequest()
	if err != nil {
		return c.unable(err)
	}
	c.enter(phaseVendor)
	vendor := c.s.needs.Vendors[c.route.Provider.Vendor].(llm.Embedder) //nolint:forcetypeassert // laneOf has looked
	a, err := vendor.Embed(c.ctx, c.target(), req)
	c.enter(phaseBusy)
	if err != nil {
		return llm.Broken(err)
	}
	c.answering = true
	c.tellWarnings(req.Warnings, a.Head.Warnings)
	e := &embedded{c: c, req: req, answer: a}
	return f(llm.Reply{ProcessingMS: a.Head.ProcessingMS, VendorRequestID: a.Head.VendorRequestID, Length: -1, Body: embedding{e}})
}

// embedded is an answer with embeddings that is written for the client.
type embedded struct {
	c      *call
	req    *llm.EmbedRequest
	answer llm.EmbedAnswer
}

func (*embedded) collect() error     { return nil }
func (*embedded) OutputText() []byte { return nil }
func (*embedded) OutputBytes() int64 { return 0 }

func (e *embedded) Usage() llm.Usage { return e.answer.Usage }

func (e *embedded) whole(b []byte, u llm.Usage) []byte {
	return e.c.op.embed.AppendEmbed(b, e.c.scan.Model, e.req, e.answer.Vectors, u)
}

// embedding makes it the body of a Reply.
type embedding struct{ *embedded }

// Read implements io.Reader: nobody reads bytes that do not exist.
func (embedding) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (embedding) Close() error { return nil }

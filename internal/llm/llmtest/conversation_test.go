package llmtest_test

import (
	"flag"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	dialectanthropic "github.com/rephlo/rephlo/internal/llm/dialect/anthropic"
	dialectgoogle "github.com/rephlo/rephlo/internal/llm/dialect/google"
	dialectopenai "github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/llm/llmtest"
	"github.com/rephlo/rephlo/internal/llm/vendors/anthropic"
	"github.com/rephlo/rephlo/internal/llm/vendors/azure"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/llm/vendors/google"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
	vendortest "github.com/rephlo/rephlo/internal/llm/vendors/test"
)

var update = flag.Bool("update", false, "rewrite what the vendors are sent and what the clients get")

// Each file of testdata/embed is one request for embeddings.
func TestEmbeddings(t *testing.T) {
	t.Parallel()
	client := egress.NewClient(egress.Options{})
	t.Cleanup(client.Close)
	llmtest.Embeddings(t, "testdata/embed", *update,
		map[string]llm.EmbedDialect{"embeddings": dialectopenai.Embeddings{}, "embedContent": dialectgoogle.Embed{}, "batchEmbedContents": dialectgoogle.Embed{Batch: true}},
		map[string]llm.Embedder{"openai": openai.New(client, time.Now), "azure": azure.New(client, time.Now), "google": google.New(client, time.Now), "test": vendortest.New()})
}

// Each file of testdata is one request and its answer, from one dialect through
// one vendor. See llmtest.Conversations.
func TestConversations(t *testing.T) {
	t.Parallel()
	client := egress.NewClient(egress.Options{})
	t.Cleanup(client.Close)
	llmtest.Conversations(t, "testdata", *update,
		map[string]llm.Dialect{"chat": dialectopenai.Chat{}, "messages": dialectanthropic.Messages{}, "gemini": dialectgoogle.Gemini{}, "responses": dialectopenai.Responses{}},
		map[string]llmtest.Translator{"openai": openai.New(client, time.Now), "azure": azure.New(client, time.Now), "compat": compat.New(client, time.Now), "anthropic": anthropic.New(client, time.Now), "google": google.New(client, time.Now)})
}

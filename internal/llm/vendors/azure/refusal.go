package azure

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	wire "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// inner is what Azure adds to an error. Images spell it with an underscore.
type inner struct {
	Error struct {
		Inner      reason `json:"innererror"`
		Underlined reason `json:"inner_error"`
	} `json:"error"`
}

type reason struct {
	Code string `json:"code"`
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readRefusal reads an error of the service, or of the gateway before it, which
// writes {"statusCode":401,"message":"…"}.
//
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
func readRefusal(body []byte) (llm.Refusal, bool) {
	said, ok := wire.ReadError(body)
	r := llm.Refusal{Code: said.Code, Type: said.Type, Param: said.Param, Message: said.Message}
	var in inner
	_ = json.Unmarshal(body, &in, lenient) // what it has is enough
	switch {
	case filtered(r.Code), filtered(in.Error.Inner.Code), filtered(in.Error.Underlined.Code):
		r.As = llm.Policy
	case r.Code == "OperationNotSupported", r.Code == "DeploymentNotFound":
		r.As = llm.UnknownModel // the route is wrong, not the request
	}
	return r, ok
}

// filtered reports whether an error's code says that content was refused: the
// services spell it in several ways.
func filtered(code string) bool {
	switch strings.ToLower(code) {
	case "content_filter", "contentfilter", "content_policy_violation", "responsibleaipolicyviolation":
		return true
	}
	return false
}

package google

import "github.com/go-json-experiment/json/jsontext"

// EmbedRequest is the body of embedContent, and an element of that of
// batchEmbedContents.
//
// Source: https://ai.google.dev/api/embeddings
type EmbedRequest struct {
	Model                jsontext.Value `json:"model"` // again; the path has it
	Content              *Content       `json:"content"`
	TaskType             string         `json:"taskType"`
	Title                string         `json:"title"`
	OutputDimensionality jsontext.Value `json:"outputDimensionality"`
	Rest                 jsontext.Value `json:",embed"`
}

// Package azure speaks OpenAI's protocol as Azure OpenAI has it.
//
//	             base URL                                       path
//	v1           https://<resource>.openai.azure.com/openai/v1  /chat/completions
//	by versions  https://<resource>.openai.azure.com/openai     /deployments/<deployment>/chat/completions?api-version=<version>
//
// A target with Options.APIVersion is called in the second way. In both the
// model is the name of a deployment and the key goes in the header api-key.
// Responses are forwarded only in the first way. There are no moderations.
//
// Source: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
// and https://learn.microsoft.com/azure/ai-foundry/openai/reference
package azure

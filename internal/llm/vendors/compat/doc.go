// Package compat speaks to services that offer OpenAI's protocol at an address
// of their own: Ollama, vLLM, Groq, Mistral, xAI, DeepSeek, OpenRouter and
// others.
package compat

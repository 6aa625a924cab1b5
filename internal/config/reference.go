package config

import (
	"fmt"
	"strings"
)

// Reference returns the reference page of all settings, as Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, s := range Settings() {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n\n", s.Name, s.Help)
		fmt.Fprintf(&b, "- Environment and file: `%s`", s.Env())
		if s.Secret() {
			fmt.Fprintf(&b, ", or `%s_FILE` with the name of a file that holds it", s.Env())
		}
		if s.Alias != "" {
			fmt.Fprintf(&b, "; also read as `%s`", s.Alias)
		}
		b.WriteString("\n- Flag: " + flagText(s) + "\n- Value: " + kindText(s) + "\n- Default: " + defaultText(s) + "\n")
		if s.Example != "" {
			fmt.Fprintf(&b, "- Example: `%s=%s`\n", s.Env(), s.Example)
		}
	}
	return b.String() + referenceProviders
}

func flagText(s Setting) string {
	switch {
	case s.Flag() == "":
		return "`--" + s.FileFlag() + "`"
	case s.Secret():
		return "`--" + s.Flag() + "` (other users of the machine can see arguments; better `--" + s.FileFlag() + "`)"
	}
	return "`--" + s.Flag() + "`"
}

func defaultText(s Setting) string {
	switch {
	case s.Derived != "":
		return strings.NewReplacer("<", "`<", ">", ">`").Replace(s.Derived)
	case s.Default == "":
		return "none"
	}
	return "`" + s.Default + "`"
}

func kindText(s Setting) string {
	switch s.Kind {
	case "addr":
		return "`host:port` or `:port`"
	case "path":
		return "a path"
	case "database":
		return "`postgres://user:password@host/name`"
	case "redis":
		return "`redis://user:password@host:6379/0`"
	case "origin":
		return "an http or https address without a path"
	case "base":
		return "an http or https address"
	case "origins":
		return "addresses separated by commas"
	case "bool":
		return "`true` or `false`"
	case "int":
		return "a whole number from 0 to " + s.Max
	case "duration":
		return "a time with its unit, `0s` to `" + s.Max + "`"
	case "enum":
		return "`" + strings.Join(s.Values, "`, `") + "`"
	}
	return "text, kept secret"
}

const referenceHead = `# Configuration

Rephlo runs without any. To change a setting, write it in one of four places; the first that has it wins:

1. a flag: ` + "`rephlo serve --api-addr :7150`" + `
2. the environment: ` + "`REPHLO_API_ADDR=:7150`" + `
3. a file with such lines, named by ` + "`--config rephlo.env` or `REPHLO_CONFIG`" + ` (the format that systemd and ` + "`docker --env-file`" + ` read)
4. the default

An empty value in the environment or the file counts as not set. Times are written with their unit. A mistake, also an
unknown name, stops the start with exit status 78 and is reported with its place.
` + "`rephlo config print --origin`" + ` shows what is in effect and where it came from, secrets masked.

This page is generated from the source; ` + "`go test ./internal/config -update`" + ` renews it.
`

const referenceProviders = `
## The file of ` + "`providers_file`" + `

A JSON list. Unknown and doubled names are mistakes. Prices are US dollars for a million tokens, as strings.

` + "```json" + `
[
  {
    "id": "ollama",
    "name": "Ollama",
    "base_url": "http://127.0.0.1:11434/v1",
    "allow_private": true,
    "models": [
      {"id": "llama3.2", "vendor_model": "llama3.2:3b", "context_length": 131072, "max_output_tokens": 8192,
       "input_usd_per_million": "0.05", "output_usd_per_million": "0.10"}
    ]
  }
]
` + "```" + `

| field | meaning |
|---|---|
| ` + "`id`, `name`" + ` | a short name of small letters, digits, - and _; what people read |
| ` + "`base_url`" + ` | up to and with ` + "`/v1`" + ` |
| ` + "`api_key`, `api_key_file`, `api_key_env`" + ` | the key, or the file or variable that holds it; none for a service without keys |
| ` + "`allow_private`" + ` | permits an address of the own machine or network |
| ` + "`headers`" + ` | sent with every call |
| ` + "`api_version`" + ` | with vendor azure: a dated version such as 2024-10-21, when ` + "`base_url`" + ` ends in /openai; left out, ` + "`base_url`" + ` ends in /openai/v1. A model's ` + "`vendor_model`" + ` is the name of its deployment |
| ` + "`no_stream_usage`, `max_tokens_key`" + ` | for services that do not know ` + "`stream_options`" + `, or name the output limit otherwise |
| ` + "`drain`" + ` | when a client leaves a stream, read it on for up to 15 s for its usage, because the service bills it to its end; without it the stream is cancelled within a second |
| ` + "`models[].id`, `vendor_model`, `name`" + ` | what clients call it, what the provider calls it, what people read |
| ` + "`models[].context_length`, `max_output_tokens`" + ` | in tokens |
| ` + "`models[].input_usd_per_million`, `output_usd_per_million`, `cached_input_usd_per_million`" + ` | the prices; the first two are required |
| ` + "`models[].priority`, `weight`" + ` | where several providers have a model of the same id: the lowest priority is tried first (as they are listed when it is left out), and those of one priority share the calls by weight (1 when left out) |
| ` + "`models[].fallbacks`" + ` | models that may answer instead, in this order: ` + "`{\"model\": \"…\", \"on\": [\"server\"]}`" + `; ` + "`on`" + ` takes ` + "`overloaded`, `server`, `timeout`, `rate`" + ` (these when left out), ` + "`context`, `policy`" + `. Who is answered by a fallback pays its price, and the dearest of them is set aside |
`

module github.com/rephlo/rephlo/e2e/compat

go 1.26.0

require (
	github.com/coreos/go-oidc/v3 v3.21.0
	github.com/openai/openai-go/v3 v3.96.0
	golang.org/x/oauth2 v0.37.0
)

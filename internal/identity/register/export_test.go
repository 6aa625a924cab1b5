package register

import "github.com/rephlo/rephlo/internal/identity/client"

// Parse reads a metadata document.
func Parse(data []byte, algs []string) (client.Client, error) {
	c, _, err := parse(data, algs)
	return c, err
}

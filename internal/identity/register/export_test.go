package register

import "github.com/rephlo/rephlo/internal/identity/client"

// Parse reads a metadata document.
func Parse(data []byte) (client.Client, error) {
	c, _, err := parse(data)
	return c, err
}

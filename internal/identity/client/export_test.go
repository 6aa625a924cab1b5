package client

// Check returns ErrInvalid for settings that break a rule.
func (c Client) Check() error { return c.check() }

package seal

// CostsAs reports whether verifying an unknown name takes what verifying text
// takes.
func (p *Passwords) CostsAs(text string) bool {
	h, err := parse(text)
	d := p.dummy()
	return err == nil && d.memory == h.memory && d.passes == h.passes && d.threads == h.threads &&
		len(d.salt) == len(h.salt) && len(d.sum) == len(h.sum)
}

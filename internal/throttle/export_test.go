package throttle

// SetHalf makes t small.
func (t *Throttle) SetHalf(n int) { t.half = n }

// Size returns how many keys t remembers.
func (t *Throttle) Size() int { return len(t.young) + len(t.old) }

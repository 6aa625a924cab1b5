package account

// CheckEmail is checkEmail, for the fuzz target.
var CheckEmail = checkEmail

// Throttle is throttle, for tests of its bound.
type Throttle = throttle

var (
	NewThrottle = newThrottle
	Network     = network
)

// Take is take.
func (t *throttle) Take(key string, limit int) bool {
	_, wait := t.take(key, limit)
	return wait == 0
}

// SetHalf makes t small.
func (t *throttle) SetHalf(n int) { t.half = n }

// Size returns how many keys t remembers.
func (t *throttle) Size() int { return len(t.young) + len(t.old) }

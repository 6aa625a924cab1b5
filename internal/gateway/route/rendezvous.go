package route

import "math"

// Affinity folds the parts that tell conversations apart into one number. It is
// the same in every process, so that a conversation meets the same deployment
// from each of them (FNV-1a, 64 bits).
func Affinity(parts ...[]byte) uint64 {
	n := uint64(offset64)
	for _, p := range parts {
		n = fnv(n, p)
		n = (n ^ 0xff) * prime64 // no UTF-8 text has this byte
	}
	return n
}

const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func fnv[T string | []byte](n uint64, text T) uint64 {
	for i := range len(text) {
		n = (n ^ uint64(text[i])) * prime64
	}
	return n
}

// rendezvous returns the score of c for an affinity. The highest wins, in the
// mean as often as its weight says (weighted rendezvous hashing, Schindelhauer
// and Schomaker 2005).
func rendezvous(affinity uint64, c *Candidate) float64 {
	n := mix(affinity ^ mix(fnv(fnv(offset64, c.Provider)*prime64, c.Model)^c.Credential))
	unit := (float64(n>>11) + 0.5) / (1 << 53) // in (0, 1)
	return float64(c.Weight) / -math.Log(unit)
}

// mix spreads every bit of n over all of the result (the finaliser of
// splitmix64).
func mix(n uint64) uint64 {
	n ^= n >> 30
	n *= 0xbf58476d1ce4e5b9
	n ^= n >> 27
	n *= 0x94d049bb133111eb
	return n ^ n>>31
}

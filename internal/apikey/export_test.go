package apikey

// Checksum is what a key that begins with s must end with.
func Checksum(s string) string { sum := checksum(s); return string(sum[:]) }
